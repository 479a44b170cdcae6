"""Windows of quotas that have begun: each is a row, and ends as it began, whatever is changed.

A slot's newest row is what the next window follows on. Rows are made by whoever needs one first: a
gateway that loads limits, a service about to change them, or Celery when a window is over.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import QuerySet
from msgspec.structs import replace

from tenants.admission.limits.rules import QuotaRule
from tenants.models import QuotaWindow
from tenants.windows import Window, window_at, windows_after

LOCK = 7_234_002
"""Our number among PostgreSQL's advisory locks; the tenant's id is the second one."""

MAX_MISSED_WINDOWS = 1000
"""Windows that nobody opened in time, and that get rows nevertheless."""


def open_windows(
    tenant_id: int, quotas: Sequence[QuotaRule], *, now: datetime
) -> Mapping[str, Window]:
    """Per slot the window that `now` lies in, with a row for it and for each one missed.

    Asks inside a tenant scope. One query, unless a window is over.
    """
    from tenants.ledger.usage_before import carry_new_counters

    open_now = newest_windows(open_rows(tenant_id))
    if all(is_running(open_now.get(quota.slot), now) for quota in quotas):
        return open_now
    with transaction.atomic():
        # Two that open at once must follow on the same row.
        lock_windows(tenant_id)
        open_now = newest_windows(open_rows(tenant_id))
        missing = [each for each in quotas if not is_running(open_now.get(each.slot), now)]
        rows = list(missing_rows(tenant_id, missing, open_now, now))
        QuotaWindow.objects.bulk_create(rows, ignore_conflicts=True)
        opened = newest_windows(rows)
        came = {
            each: opened[each.slot]
            for each in missing
            if not open_now.keys() & {each.slot, shared_slot(each)}
        }
        carry_new_counters(tenant_id, came, now=now)
    return {**open_now, **newest_windows(rows)}


def is_running(window: Window | None, now: datetime) -> bool:
    # Another machine's clock may be ahead, and have opened the next one already.
    return window is not None and now < window.end


def open_rows(tenant_id: int) -> QuerySet[QuotaWindow]:
    return QuotaWindow.objects.filter(tenant_id=tenant_id, closed_at=None)


def newest_windows(rows: Iterable[QuotaWindow]) -> dict[str, Window]:
    """Of each slot the window that begins last."""
    return {row.slot: row.window for row in sorted(rows, key=lambda row: row.starts_at)}


def lock_windows(tenant_id: int) -> None:
    """Let nobody else open windows of this tenant until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, tenant_id])


def missing_rows(
    tenant_id: int, quotas: Sequence[QuotaRule], open_now: Mapping[str, Window], now: datetime
) -> Iterator[QuotaWindow]:
    """Rows from each slot's open window up to `now`; one, if it has no open window."""
    closed = last_closed(tenant_id, [each.slot for each in quotas if each.slot not in open_now])
    for quota in quotas:
        last = open_now.get(quota.slot)
        if last is not None and not is_long_ago(last, now):
            found = list(windows_after(last, quota.calendar, until=now))[-MAX_MISSED_WINDOWS:]
        else:
            # The first rule for one key follows on what has counted the key until now.
            before = last or closed.get(quota.slot) or open_now.get(shared_slot(quota))
            found = [window_at(now, quota.calendar, pinned=before)]
        yield from (window_row(tenant_id, quota, window) for window in found)


def is_long_ago(window: Window, now: datetime) -> bool:
    return window.end + (window.end - window.start) * MAX_MISSED_WINDOWS < now


def last_closed(tenant_id: int, slots: Sequence[str]) -> dict[str, Window]:
    """The last window of each slot whose rule was away for a while."""
    if not slots:
        return {}
    rows = QuotaWindow.objects.filter(tenant_id=tenant_id, slot__in=slots).exclude(closed_at=None)
    return newest_windows(rows.order_by("slot", "-starts_at").distinct("slot"))


def shared_slot(quota: QuotaRule) -> str:
    """The slot of the rule that is for every key or member alike."""
    return replace(quota, key_id=None, member_id=None).slot


def window_row(tenant_id: int, quota: QuotaRule, window: Window) -> QuotaWindow:
    return QuotaWindow(
        tenant_id=tenant_id,
        slot=quota.slot,
        starts_at=window.start,
        ends_at=window.end,
        time_zone=quota.calendar.zone,
        limit=quota.limit,
    )


def tenants_behind(tenant_ids: Iterable[int], *, now: datetime) -> list[int]:
    """Which of these tenants have open windows that are over."""
    rows = QuotaWindow.objects.filter(tenant_id__in=tenant_ids, closed_at=None, ends_at__lte=now)
    return sorted(set(rows.values_list("tenant_id", flat=True)))
