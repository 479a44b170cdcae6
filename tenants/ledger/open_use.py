"""The usage of quotas in open windows; rows of closed windows store theirs."""

from collections.abc import Iterable

from django.db import connection

from tenants.models import QuotaWindow

USED = r"""
    SELECT requested.id, coalesce(sum(usage.used), 0)
    FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
         AS requested (id, tenant_id, head, period, "window")
    LEFT JOIN tenants_quotausage usage
      ON usage.tenant_id = requested.tenant_id
     AND usage."window" = requested."window"
     AND (
        usage.counter = requested.head
        OR (
            requested.head ~ '^(key|member)[|]'
            AND regexp_replace(usage.counter, '^(key|member):[0-9]+', '\1') = requested.head
            AND NOT EXISTS (
                SELECT 1 FROM tenants_quotawindow own
                WHERE own.tenant_id = requested.tenant_id
                  AND own.slot = usage.counter || '|' || requested.period
                  AND own.closed_at IS NULL
            )
        )
     )
    GROUP BY requested.id
"""
"""A slot for all keys or members excludes those with a slot of their own."""


def used_in_open(rows: Iterable[QuotaWindow]) -> dict[int, int]:
    """Return the usage of the open windows in `rows` by their ids, in one query.

    Not limited to the tenant in scope, because the caller has selected the rows.
    """
    open_rows = [row for row in rows if row.closed_at is None]
    if not open_rows:
        return {}
    slots = [row.slot.rpartition("|") for row in open_rows]
    with connection.cursor() as cursor:
        cursor.execute(
            USED,
            [
                [row.pk for row in open_rows],
                [row.tenant_id for row in open_rows],
                [head for head, _, _ in slots],
                [period for _, _, period in slots],
                [row.window.id for row in open_rows],
            ],
        )
        return {row_id: int(used) for row_id, used in cursor.fetchall()}
