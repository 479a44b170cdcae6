"""Reconciliation: repairs all sums from the rows of the ledger.

Counters are only raised, so that a repair never reopens a quota that was reported as exhausted.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import connection

from kernel import metrics
from kernel.storage.stored_counts import add_count
from tenants.admission.limits.counter_state import CounterState
from tenants.models import QuotaUsage
from tenants.scoping import tenant_scope

log = logging.getLogger(__name__)

HOURS_BACK = 26
"""Hours that each run compares with the ledger: a day, plus two for late records."""

BUMP_VERSIONS = """
    UPDATE tenants_quotausage SET version = greatest(version, %s) + 1
    WHERE tenant_id = %s AND counter = %s AND "window" = %s
"""


def reconcile_counters(*, now: datetime) -> int:
    """Repair the open counters of all tenants in PostgreSQL. Return the number of drifts.

    Reads the rows added to the ledger since the last call once, for all tenants.
    """
    from tenants.ledger import reconciliation

    drifts = Counter(each.key.tenant_id for each in reconciliation.raise_counters(now=now))
    return sum(note_drift(tenant_id, counter=number) for tenant_id, number in drifts.items())


def reconcile_copies(tenant_id: int, *, now: datetime) -> int:
    """Repair the copies of a tenant's counters in Redis. Return how many were wrong.

    Raises OperationalError and RedisError; the next call starts over.
    """
    from tenants.counters import commands as counter_commands
    from tenants.counters.state import fetch_live

    # Redis is read first, so that a correct copy can only be older than the row.
    copies = {key: (each.used, each.version) for key, each in fetch_live(tenant_id).windows.items()}
    wrong = bump_stale_versions(copies, open_states(tenant_id, now=now))
    counter_commands.push_states(open_states(tenant_id, now=now))
    holds = counter_commands.recount(tenant_id)
    return note_drift(tenant_id, copy=wrong, hold=len(holds))


def reconcile_hours(*, now: datetime) -> int:
    """Repair the hours of the last day, of all tenants. Return the number of drifts."""
    from tenants.ledger import reconciliation

    hour = now.replace(minute=0, second=0, microsecond=0)
    since, until = hour - timedelta(hours=HOURS_BACK), hour + timedelta(hours=1)
    return note_drift(0, hour=len(reconciliation.rebuild_hours(since=since, until=until)))


def open_states(tenant_id: int, *, now: datetime) -> list[CounterState]:
    """Return a tenant's counters in open windows."""
    with tenant_scope(tenant_id):
        return [
            CounterState(
                tenant_id=tenant_id,
                counter=row.counter,
                window=row.window,
                used=row.used,
                granted=row.granted,
                version=row.version,
            )
            for row in QuotaUsage.objects.filter(ends_at__gt=now)
        ]


def bump_stale_versions(
    copies: Mapping[tuple[str, str], tuple[int | None, int | None]],
    states: Iterable[CounterState],
) -> int:
    """Raise the versions of counters above those of copies in Redis that are wrong but not older.

    Otherwise the copies would never be replaced. Return the number of such copies.
    """
    wrong = 0
    for state in states:
        used, version = copies.get((state.counter, state.window), (None, None))
        if is_wrong(state, used=used, version=version):
            wrong += 1
            with connection.cursor() as cursor:
                cursor.execute(
                    BUMP_VERSIONS, [version, state.tenant_id, state.counter, state.window]
                )
    return wrong


def is_wrong(state: CounterState, *, used: int | None, version: int | None) -> bool:
    """Return whether a copy is as new as the row and counts less; None: there is no copy."""
    if used is None or version is None:
        return False
    return version >= state.version and used < state.used


def note_drift(tenant_id: int, **drifts: int) -> int:
    """Count and log drifted sums by kind. Tenant 0 stands for all tenants."""
    for kind, number in drifts.items():
        if number:
            add_count(metrics.ledger_drift, kind, number)
            log.error(
                "reconciliation: drift repaired (sums=%d, tenant_id=%d, kind=%s)",
                number,
                tenant_id,
                kind,
            )
    return sum(drifts.values())
