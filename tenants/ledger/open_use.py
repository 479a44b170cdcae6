"""What quotas have counted so far in windows that are open: closed ones keep it in their row."""

from collections.abc import Iterable

from django.db import connection

from tenants.models import QuotaWindow

USED = r"""
    SELECT asked.id, coalesce(sum(usage.used), 0)
    FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[])
         AS asked (id, tenant_id, head, period, "window")
    LEFT JOIN tenants_quotausage usage
      ON usage.tenant_id = asked.tenant_id
     AND usage."window" = asked."window"
     AND (
        usage.counter = asked.head
        OR (
            asked.head ~ '^(key|member)[|]'
            AND regexp_replace(usage.counter, '^(key|member):[0-9]+', '\1') = asked.head
            AND NOT EXISTS (
                SELECT 1 FROM tenants_quotawindow own
                WHERE own.tenant_id = asked.tenant_id
                  AND own.slot = usage.counter || '|' || asked.period
                  AND own.closed_at IS NULL
            )
        )
     )
    GROUP BY asked.id
"""
"""A slot for every key alike counts each of them, less those that have a slot of their own."""


def used_in_open(rows: Iterable[QuotaWindow]) -> dict[int, int]:
    """By the id of each open window of `rows`: the sum of what its counters have used. One query.

    Sees every tenant: the caller has chosen the rows.
    """
    asked = [row for row in rows if row.closed_at is None]
    if not asked:
        return {}
    slots = [row.slot.rpartition("|") for row in asked]
    with connection.cursor() as cursor:
        cursor.execute(
            USED,
            [
                [row.pk for row in asked],
                [row.tenant_id for row in asked],
                [head for head, _, _ in slots],
                [period for _, _, period in slots],
                [row.window.id for row in asked],
            ],
        )
        return {row_id: int(used) for row_id, used in cursor.fetchall()}
