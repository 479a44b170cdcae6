"""Writing of grants to counters of quotas, and the push of counters to Redis."""

import logging
from collections.abc import Sequence
from functools import partial

import redis
from django.db import connection, transaction

from tenants.admission.limits.counter_state import CounterState
from tenants.counters import commands as counter_commands
from tenants.windows import window_of_id

log = logging.getLogger(__name__)

GRANT = """
    INSERT INTO tenants_quotausage (tenant_id, counter, "window", ends_at, used, granted, version)
    VALUES (%s, %s, %s, %s, 0, %s, 1)
    ON CONFLICT (tenant_id, counter, "window") DO UPDATE
    SET granted = tenants_quotausage.granted + excluded.granted,
        version = tenants_quotausage.version + 1
    RETURNING used, granted, version
"""


def add_granted(*, tenant_id: int, counter: str, window: str, amount: int) -> CounterState:
    """Add `amount` to the grants of a counter in a window; push it to Redis on commit."""
    ends_at = window_of_id(window).end
    with connection.cursor() as cursor:
        cursor.execute(GRANT, [tenant_id, counter, window, ends_at, amount])
        used, granted, version = cursor.fetchone()
    state = CounterState(
        tenant_id=tenant_id,
        counter=counter,
        window=window,
        used=used,
        granted=granted,
        version=version,
    )
    push_on_commit([state])
    return state


def push_on_commit(states: Sequence[CounterState]) -> None:
    """Push states to Redis on commit."""
    if states:
        transaction.on_commit(partial(push_counters, states))


def push_counters(states: Sequence[CounterState]) -> None:
    """Push newer states to Redis now, instead of at the next reconciliation."""
    try:
        counter_commands.push_states(states)
    except redis.RedisError as error:
        # Reconciliation repeats the push from PostgreSQL.
        log.warning(
            "counters: push failed (counters=%d, error=%s)", len(states), error.__class__.__name__
        )
