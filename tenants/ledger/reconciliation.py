"""Does all that was derived from the ledger still agree with it? Finds what drifted, and mends it.

Rows, counters and hours are written in one transaction, so one statement sees them in step even
while gateways write. What is mended is added as a difference, for the same reason.
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

CLOCKS_APART = timedelta(hours=1)
"""A request belongs to the window it was admitted in by Redis' clock, and began by a gateway's."""
ONE_AT_A_TIME = 7_365_201
"""The number of the lock under which counters are mended and the checkpoint is moved."""

HOURS_LOCK = 7_365_202
"""That of hours, which nobody who mends counters waits for."""

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
APART = """
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
COUNTERS_APART = APART.format(charged=CHARGED)
COUNTERS_APART_BY_CHECKPOINT = APART.format(charged=CHARGED_SINCE_CHECKPOINT)
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
HOURS_APART = f"""
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
    """A counter that has not counted what the ledger's rows charged."""

    key: CounterKey
    charged: int
    """By the ledger."""
    used: int
    """By the counter."""

    what: Literal["counter"] = "counter"

    @property
    def amount(self) -> int:
        """By how much it is off."""
        return abs(self.charged - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class HourDrift:
    """An hour that does not add up to the ledger's rows."""

    key: HourKey
    lacking: dict[str, int]
    """What must be added to each sum; negative where it has too much."""

    what: Literal["hour"] = "hour"

    @property
    def amount(self) -> int:
        return sum(map(abs, self.lacking.values()))


def sum_charges(
    *, since: datetime, until: datetime, tenant_id: int | None = None
) -> dict[CounterKey, int]:
    """What the ledger's rows that began in a time charged each counter, of one tenant or all."""
    asked = {"since": since, "until": until, "tenant_id": tenant_id}
    with connection.cursor() as cursor:
        cursor.execute(CHARGED, asked)
        return {CounterKey(*columns): amount for *columns, amount in cursor}


def find_counter_drift(
    *, now: datetime, tenant_id: int | None = None, since: datetime | None = None
) -> list[CounterDrift]:
    """Counters of open windows that differ from the ledger, of one tenant or all.

    Reads the ledger back to the first start of a counter's window, or to `since` if that is
    earlier: windows that began before it, and have no counter at all, are not looked at.
    """
    with connection.cursor() as cursor:
        return list(counters_apart(cursor, now=now, tenant_id=tenant_id, since=since))


def raise_counters(
    *, now: datetime, tenant_id: int | None = None, since: datetime | None = None
) -> list[CounterDrift]:
    """Raise the counters that lack what the ledger charged; returns all that drifted.

    Looks where `find_counter_drift` looks, but reads only the ledger's rows behind the checkpoint,
    which it moves on. Never lowers a counter: who was told that a quota is used up is not told
    otherwise by a repair.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        lock(cursor, ONE_AT_A_TIME)
        through_id = checkpoint.move_on(cursor, now=now)
        drift = list(
            counters_apart(cursor, now=now, tenant_id=tenant_id, since=since, through_id=through_id)
        )
        add_charges(cursor, lacking_charges(drift))
    return drift


def find_hour_drift(*, since: datetime, until: datetime) -> list[HourDrift]:
    """Hours that differ from the ledger; `since` and `until` are full hours."""
    with connection.cursor() as cursor:
        return list(hours_apart(cursor, since=since, until=until))


def rebuild_hours(*, since: datetime, until: datetime) -> list[HourDrift]:
    """Make hours add up to the ledger again; returns those that did not."""
    with transaction.atomic(), connection.cursor() as cursor:
        lock(cursor, HOURS_LOCK)
        drift = list(hours_apart(cursor, since=since, until=until))
        # Sorted as everybody sorts them, which is not how PostgreSQL does.
        add_hours(cursor, {each.key: each.lacking for each in sorted(drift, key=by_key)})
    return drift


def lacking_charges(drift: Iterable[CounterDrift]) -> dict[CounterKey, int]:
    """What must be added to counters that have counted too little, sorted."""
    lacking = {each.key: each.charged - each.used for each in drift if each.charged > each.used}
    return {key: lacking[key] for key in sorted(lacking)}


def by_key(drift: HourDrift) -> HourKey:
    return drift.key


def lock(cursor: CursorWrapper, number: int) -> None:
    """Wait until nobody else mends: the same difference must not be added twice."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def counters_apart(
    cursor: CursorWrapper,
    *,
    now: datetime,
    tenant_id: int | None,
    since: datetime | None,
    through_id: int | None = None,
) -> Iterator[CounterDrift]:
    """With `through_id` rows up to it are not read: their sums are kept."""
    asked: dict[str, Any] = {"tenant_id": tenant_id, "open_at": now, "through_id": through_id}
    cursor.execute(FIRST_START, asked)
    (first,) = cursor.fetchone()
    starts = min(first or now, since or now)
    asked |= {"starts": starts, "since": starts - CLOCKS_APART, "until": now + CLOCKS_APART}
    statement = COUNTERS_APART if through_id is None else COUNTERS_APART_BY_CHECKPOINT
    cursor.execute(statement, asked)
    for *columns, charged, used in cursor:
        yield CounterDrift(key=CounterKey(*columns), charged=charged, used=used)


def hours_apart(cursor: CursorWrapper, *, since: datetime, until: datetime) -> Iterator[HourDrift]:
    cursor.execute(HOURS_APART, {"since": since, "until": until})
    width = len(HourKey._fields)
    for columns in cursor:
        billed, counted = columns[width : width + len(SUMS)], columns[width + len(SUMS) :]
        differences = (ours - theirs for ours, theirs in zip(billed, counted, strict=True))
        yield HourDrift(
            key=HourKey(*columns[:width]), lacking=dict(zip(SUMS, differences, strict=True))
        )
