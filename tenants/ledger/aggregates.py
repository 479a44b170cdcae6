"""The sums of the ledger: quota counters and hours.

All transactions lock these rows in the same order, so that there is no deadlock.
"""

from collections.abc import Iterable, Mapping, Sequence

from django.db import Error, connection
from django.db.backends.utils import CursorWrapper

from tenants.admission.limits.counter_state import CounterState
from tenants.errors import LimitsUnavailable
from tenants.ledger.batch_sums import SUMS, CounterKey, HourKey, as_json

ADD_CHARGES = """
    INSERT INTO tenants_quotausage AS counted
        (tenant_id, counter, "window", ends_at, used, granted, version)
    SELECT tenant_id, counter, "window",
        to_timestamp(split_part("window", '-', 2)::bigint), amount, 0, 1
    FROM jsonb_to_recordset(%s)
        AS charged (tenant_id bigint, counter text, "window" text, amount bigint)
    ON CONFLICT (tenant_id, counter, "window") DO UPDATE
    SET used = counted.used + EXCLUDED.used, version = counted.version + 1
"""
READ_COUNTERS = """
    SELECT named.tenant_id, named.counter, named."window",
        coalesce(used, 0), coalesce(granted, 0), coalesce(version, 0)
    FROM jsonb_to_recordset(%s) AS named (tenant_id bigint, counter text, "window" text)
    LEFT JOIN tenants_quotausage AS counted
        ON counted.tenant_id = named.tenant_id
        AND counted.counter = named.counter AND counted."window" = named."window"
"""
ADD_HOURS = f"""
    INSERT INTO tenants_usagehour AS counted ({", ".join((*HourKey._fields, *SUMS))})
    SELECT {", ".join((*HourKey._fields, *SUMS))}
    FROM jsonb_populate_recordset(NULL::tenants_usagehour, %s)
    ON CONFLICT ({", ".join(HourKey._fields)}) DO UPDATE
    SET {", ".join(f"{name} = counted.{name} + EXCLUDED.{name}" for name in SUMS)}
"""  # noqa: S608 - only names of our own columns


def load_counters(tenant_id: int, counters: Sequence[tuple[str, str]]) -> list[CounterState]:
    """Return the state of each (counter, window) of a tenant, in the order of `counters`.

    A counter without a row has version 0. Raises LimitsUnavailable in an outage.
    """
    keys = [CounterKey(tenant_id, counter, window) for counter, window in counters]
    try:
        with connection.cursor() as cursor:
            states = read_counters(cursor, keys)
    except Error as error:
        raise LimitsUnavailable from error
    found = {(state.counter, state.window): state for state in states}
    return [found[counter, window] for counter, window in counters]


def read_counters(cursor: CursorWrapper, keys: Iterable[CounterKey]) -> tuple[CounterState, ...]:
    """Return the state of each counter, as the running transaction sees it."""
    named = [key._asdict() for key in keys]
    if not named:
        return ()
    cursor.execute(READ_COUNTERS, [as_json(named)])
    return tuple(
        CounterState(
            tenant_id=tenant_id,
            counter=counter,
            window=window,
            used=used,
            granted=granted,
            version=version,
        )
        for tenant_id, counter, window, used, granted, version in cursor
    )


def add_charges(cursor: CursorWrapper, sums: Mapping[CounterKey, int]) -> None:
    """Add `sums`, sorted by key, to the counters, and increment their versions."""
    rows = [{**key._asdict(), "amount": amount} for key, amount in sums.items()]
    if rows:
        cursor.execute(ADD_CHARGES, [as_json(rows)])


def add_hours(cursor: CursorWrapper, sums: Mapping[HourKey, Mapping[str, int]]) -> None:
    """Add `sums`, sorted by key, to the hours."""
    rows = [{**key._asdict(), **amounts} for key, amounts in sums.items()]
    if rows:
        cursor.execute(ADD_HOURS, [as_json(rows)])
