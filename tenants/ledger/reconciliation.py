"""Comparison of the sums with the rows of the ledger, and their repair.

Rows, counters and hours are written in one transaction, so a single statement reads a consistent
state while gateways write. Repairs add a difference, for the same reason.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from tenants.ledger import checkpoint
from tenants.ledger.aggregates import add_charges, add_hours
from tenants.ledger.batch_sums import SUMS, CounterKey, HourKey

MAX_CLOCK_DIFFERENCE = timedelta(hours=1)
"""Maximum difference of the clocks of Redis, which selects a request's window, and of a gateway,
which sets its start."""
COUNTERS_LOCK = 7_365_201
"""Advisory lock of repairs of counters and of the checkpoint."""

HOURS_LOCK = 7_365_202
"""Advisory lock of repairs of hours."""

CHARGED = """
    SELECT event.tenant_id, charge.counter, charge."window", sum(charge.amount)::bigint AS amount
    FROM tenants_usageevent AS event,
        jsonb_to_recordset(event.charges) AS charge (counter text, "window" text, amount bigint)
    WHERE event.started_at >= %(since)s AND event.started_at < %(until)s
        AND (%(tenant_id)s::bigint IS NULL OR event.tenant_id = %(tenant_id)s)
    GROUP BY 1, 2, 3
"""
CHARGED_SINCE_CHECKPOINT = f"""
    SELECT tenant_id, counter, "window", sum(amount)::bigint AS amount
    FROM (
        SELECT tenant_id, counter, "window", amount FROM tenants_chargedsum
        WHERE %(tenant_id)s::bigint IS NULL OR tenant_id = %(tenant_id)s
        UNION ALL
        ({CHARGED.replace("WHERE", "WHERE event.id > %(through_id)s AND")})
    ) AS charged
    GROUP BY 1, 2, 3
"""  # noqa: S608 - put together from constants
DRIFT = """
    WITH charged AS ({charged})
    SELECT tenant_id, counter, "window", coalesce(charged.amount, 0), coalesce(counted.used, 0)
    FROM charged FULL JOIN (
        SELECT tenant_id, counter, "window", used - carried AS used FROM tenants_quotausage
        WHERE %(tenant_id)s::bigint IS NULL OR tenant_id = %(tenant_id)s
    ) AS counted USING (tenant_id, counter, "window")
    WHERE coalesce(charged.amount, 0) <> coalesce(counted.used, 0)
        AND split_part("window", '-', 1)::bigint >= extract(epoch FROM %(starts)s::timestamptz)
        AND split_part("window", '-', 2)::bigint > extract(epoch FROM %(open_at)s::timestamptz)
    ORDER BY 1, 2, 3
"""
COUNTER_DRIFT = DRIFT.format(charged=CHARGED)
COUNTER_DRIFT_SINCE_CHECKPOINT = DRIFT.format(charged=CHARGED_SINCE_CHECKPOINT)
FIRST_START = """
    SELECT to_timestamp(min(split_part("window", '-', 1)::bigint)) FROM tenants_quotausage
    WHERE ends_at > %(open_at)s AND (%(tenant_id)s::bigint IS NULL OR tenant_id = %(tenant_id)s)
"""
LEDGER_SUMS = """
    count(*) FILTER (WHERE kind <> 'correction') AS requests,
    count(*) FILTER (WHERE kind <> 'correction' AND status = 'failed') AS failed,
    sum(prompt_tokens)::bigint AS prompt_tokens,
    sum(completion_tokens)::bigint AS completion_tokens,
    sum(cached_tokens)::bigint AS cached_tokens, sum(cost_micro)::bigint AS cost_micro
"""
HOUR_KEY = ", ".join(HourKey._fields)
HOUR_DRIFT = f"""
    SELECT {HOUR_KEY},
        {", ".join(f"coalesce(billed.{name}, 0)" for name in SUMS)},
        {", ".join(f"coalesce(counted.{name}, 0)" for name in SUMS)}
    FROM (
        SELECT tenant_id, date_trunc('hour', started_at, 'UTC') AS hour,
            coalesce(api_key_id, 0) AS api_key_id, coalesce(member_id, 0) AS member_id,
            agent, route, door, {LEDGER_SUMS}
        FROM tenants_usageevent WHERE started_at >= %(since)s AND started_at < %(until)s
        GROUP BY 1, 2, 3, 4, 5, 6, 7
    ) AS billed
    FULL JOIN (
        SELECT * FROM tenants_usagehour WHERE hour >= %(since)s AND hour < %(until)s
    ) AS counted USING ({HOUR_KEY})
    WHERE ({", ".join(f"coalesce(billed.{name}, 0)" for name in SUMS)})
        <> ({", ".join(f"coalesce(counted.{name}, 0)" for name in SUMS)})
    ORDER BY {HOUR_KEY}
"""  # noqa: S608 - only names of our own columns


@dataclass(frozen=True, slots=True, kw_only=True)
class CounterDrift:
    """A counter that differs from the charges of the ledger."""

    key: CounterKey
    charged: int
    """The amount of the ledger."""
    used: int
    """The amount of the counter."""

    what: Literal["counter"] = "counter"

    @property
    def amount(self) -> int:
        """The absolute difference."""
        return abs(self.charged - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class HourDrift:
    """An hour that differs from the rows of the ledger."""

    key: HourKey
    lacking: dict[str, int]
    """The amount to add to each sum; negative if the sum is too high."""

    what: Literal["hour"] = "hour"

    @property
    def amount(self) -> int:
        return sum(map(abs, self.lacking.values()))


def sum_charges(
    *, since: datetime, until: datetime, tenant_id: int | None = None
) -> dict[CounterKey, int]:
    """Return the charges of requests that began in a period, by counter, of one tenant or all."""
    parameters = {"since": since, "until": until, "tenant_id": tenant_id}
    with connection.cursor() as cursor:
        cursor.execute(CHARGED, parameters)
        return {CounterKey(*columns): amount for *columns, amount in cursor}


def find_counter_drift(
    *, now: datetime, tenant_id: int | None = None, since: datetime | None = None
) -> list[CounterDrift]:
    """Return the counters of open windows that differ from the ledger, of one tenant or all.

    Reads the ledger from the first start of a counter's window, or from `since` if that is earlier.
    Windows that began before that and have no counter are ignored.
    """
    with connection.cursor() as cursor:
        return list(read_counter_drift(cursor, now=now, tenant_id=tenant_id, since=since))


def raise_counters(
    *, now: datetime, tenant_id: int | None = None, since: datetime | None = None
) -> list[CounterDrift]:
    """Raise the counters that are below the charges of the ledger. Return all that differ.

    Compares the counters of `find_counter_drift`, but reads only the ledger's rows after the
    checkpoint, which it advances. Never lowers a counter, so that a repair never reopens a quota
    that was reported as exhausted.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        lock(cursor, COUNTERS_LOCK)
        through_id = checkpoint.advance(cursor, now=now)
        drift = list(
            read_counter_drift(
                cursor, now=now, tenant_id=tenant_id, since=since, through_id=through_id
            )
        )
        add_charges(cursor, lacking_charges(drift))
    return drift


def find_hour_drift(*, since: datetime, until: datetime) -> list[HourDrift]:
    """Return the hours that differ from the ledger; `since` and `until` are full hours."""
    with connection.cursor() as cursor:
        return list(read_hour_drift(cursor, since=since, until=until))


def rebuild_hours(*, since: datetime, until: datetime) -> list[HourDrift]:
    """Repair the hours that differ from the ledger, and return them."""
    with transaction.atomic(), connection.cursor() as cursor:
        lock(cursor, HOURS_LOCK)
        drift = list(read_hour_drift(cursor, since=since, until=until))
        # Sorted by Python, in the lock order of all writers; PostgreSQL's collation differs.
        add_hours(cursor, {each.key: each.lacking for each in sorted(drift, key=by_key)})
    return drift


def lacking_charges(drift: Iterable[CounterDrift]) -> dict[CounterKey, int]:
    """Return the amounts to add to counters that are too low, sorted."""
    lacking = {each.key: each.charged - each.used for each in drift if each.charged > each.used}
    return {key: lacking[key] for key in sorted(lacking)}


def by_key(drift: HourDrift) -> HourKey:
    return drift.key


def lock(cursor: CursorWrapper, number: int) -> None:
    """Wait until concurrent repairs have ended, so that no difference is added twice."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def read_counter_drift(
    cursor: CursorWrapper,
    *,
    now: datetime,
    tenant_id: int | None,
    since: datetime | None,
    through_id: int | None = None,
) -> Iterator[CounterDrift]:
    """Yield the counters that differ; with `through_id`, use the stored sums of rows up to it."""
    parameters: dict[str, Any] = {"tenant_id": tenant_id, "open_at": now, "through_id": through_id}
    cursor.execute(FIRST_START, parameters)
    (first,) = cursor.fetchone()
    starts = min(first or now, since or now)
    parameters |= {
        "starts": starts,
        "since": starts - MAX_CLOCK_DIFFERENCE,
        "until": now + MAX_CLOCK_DIFFERENCE,
    }
    statement = COUNTER_DRIFT if through_id is None else COUNTER_DRIFT_SINCE_CHECKPOINT
    cursor.execute(statement, parameters)
    for *columns, charged, used in cursor:
        yield CounterDrift(key=CounterKey(*columns), charged=charged, used=used)


def read_hour_drift(
    cursor: CursorWrapper, *, since: datetime, until: datetime
) -> Iterator[HourDrift]:
    cursor.execute(HOUR_DRIFT, {"since": since, "until": until})
    width = len(HourKey._fields)
    for columns in cursor:
        billed, counted = columns[width : width + len(SUMS)], columns[width + len(SUMS) :]
        differences = (ours - theirs for ours, theirs in zip(billed, counted, strict=True))
        yield HourDrift(
            key=HourKey(*columns[:width]), lacking=dict(zip(SUMS, differences, strict=True))
        )
