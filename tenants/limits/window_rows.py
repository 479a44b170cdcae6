"""Rows of open quota windows. A window keeps its end even if its quota is changed.

The next window of a slot begins where its newest row ends. The first process that needs a row
creates it: a gateway that loads limits, a service before it changes them, or a Celery task.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction
from django.db.models import QuerySet
from msgspec.structs import replace

from tenants.admission.limits.rules import QuotaRule
from tenants.counters.top_ups import push_on_commit
from tenants.ledger.usage_before import carry_new_counters
from tenants.models import QuotaWindow
from tenants.windows import Window, window_at, windows_after

LOCK = 7_234_002
"""The first number of PostgreSQL's advisory lock; the tenant's id is the second one."""

MAX_MISSED_WINDOWS = 1000
"""Maximum number of missed windows for which rows are created afterwards."""


def open_windows(
    tenant_id: int, quotas: Sequence[QuotaRule], *, now: datetime
) -> Mapping[str, Window]:
    """Return the window at `now` of each slot; create its row and those of missed windows.

    Needs a tenant scope. Runs one query unless a window has ended.
    """
    open_now = newest_windows(open_rows(tenant_id))
    if all(is_running(open_now.get(quota.slot), now) for quota in quotas):
        return open_now
    with transaction.atomic():
        # Two processes must continue from the same row.
        lock_windows(tenant_id)
        open_now = newest_windows(open_rows(tenant_id))
        missing = [each for each in quotas if not is_running(open_now.get(each.slot), now)]
        rows = list(missing_rows(tenant_id, missing, open_now, now))
        QuotaWindow.objects.bulk_create(rows, ignore_conflicts=True)
        opened = newest_windows(rows)
        added = {
            each: opened[each.slot]
            for each in missing
            if not open_now.keys() & {each.slot, shared_slot(each)}
        }
        push_on_commit(carry_new_counters(tenant_id, added, now=now))
    return {**open_now, **newest_windows(rows)}


def is_running(window: Window | None, now: datetime) -> bool:
    # The window may begin in the future: a machine whose clock is ahead may have opened it.
    return window is not None and now < window.end


def open_rows(tenant_id: int) -> QuerySet[QuotaWindow]:
    return QuotaWindow.objects.filter(tenant_id=tenant_id, closed_at=None)


def newest_windows(rows: Iterable[QuotaWindow]) -> dict[str, Window]:
    """Return the newest window of each slot."""
    return {row.slot: row.window for row in sorted(rows, key=lambda row: row.starts_at)}


def lock_windows(tenant_id: int) -> None:
    """Lock the opening of windows of this tenant until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK, tenant_id])


def missing_rows(
    tenant_id: int, quotas: Sequence[QuotaRule], open_now: Mapping[str, Window], now: datetime
) -> Iterator[QuotaWindow]:
    """Yield rows from each slot's open window up to `now`; one row without an open window."""
    closed = last_closed(tenant_id, [each.slot for each in quotas if each.slot not in open_now])
    for quota in quotas:
        last = open_now.get(quota.slot)
        if last is not None and not is_long_ago(last, now):
            found = list(windows_after(last, quota.calendar, until=now))[-MAX_MISSED_WINDOWS:]
        else:
            # A new rule for one key continues the window of the rule that counted the key so far.
            before = last or closed.get(quota.slot) or open_now.get(shared_slot(quota))
            found = [window_at(now, quota.calendar, pinned=before)]
        yield from (window_row(tenant_id, quota, window) for window in found)


def is_long_ago(window: Window, now: datetime) -> bool:
    return window.end + (window.end - window.start) * MAX_MISSED_WINDOWS < now


def last_closed(tenant_id: int, slots: Sequence[str]) -> dict[str, Window]:
    """Return the newest closed window of each slot."""
    if not slots:
        return {}
    rows = QuotaWindow.objects.filter(tenant_id=tenant_id, slot__in=slots).exclude(closed_at=None)
    return newest_windows(rows.order_by("slot", "-starts_at").distinct("slot"))


def shared_slot(quota: QuotaRule) -> str:
    """Return the slot of the rule for all keys or members."""
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
    """Return those of the tenants that have ended windows which are not closed."""
    rows = QuotaWindow.objects.filter(tenant_id__in=tenant_ids, closed_at=None, ends_at__lte=now)
    return sorted(set(rows.values_list("tenant_id", flat=True)))
