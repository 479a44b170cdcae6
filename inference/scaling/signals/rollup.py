"""Rolls up the samples of pools, and deletes old ones."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from inference.models import PoolSample, ScalingDecision

Stretch = PoolSample.Stretch
FIVE_MINUTES_RETENTION = timedelta(days=60)
HOURS_RETENTION = timedelta(days=730)
DECISIONS_RETENTION = timedelta(days=90)
SETTLED = timedelta(minutes=2)
"""Time after the end of an interval when no more samples are written into it."""
ROLLUP_LOOKBACK = {Stretch.FIVE_MINUTES: timedelta(hours=6), Stretch.HOUR: timedelta(days=3)}
"""Maximum age of the samples that are rolled up after a pause of Celery."""
AVERAGED_COLUMNS = (
    *("replicas", "ready", "desired", "min_replicas", "max_replicas", "waiting", "in_flight"),
    *("request_rate", "ttft_p95", "kv_cache", "cpu", "memory", "gpu"),
)
ROLL_UP = """
    INSERT INTO {table} (pool_id, stretch, at, {columns})
    SELECT pool_id, %(after)s,
           date_bin(make_interval(secs => %(after)s), at, 'epoch'::timestamptz) AS began,
           {means}
    FROM {table}
    WHERE stretch = %(before)s AND at >= %(since)s AND at < %(until)s
    GROUP BY pool_id, began
    ON CONFLICT DO NOTHING
"""


def roll_up(*, now: datetime) -> None:
    """Roll up 15 seconds into five minutes, and those into hours. Safe to run twice."""
    with transaction.atomic():
        roll_up_into(Stretch.FIVE_MINUTES, out_of=Stretch.SLOT, now=now)
        roll_up_into(Stretch.HOUR, out_of=Stretch.FIVE_MINUTES, now=now)


def roll_up_into(after: Stretch, *, out_of: Stretch, now: datetime) -> None:
    """Roll up only intervals that have ended."""
    until = interval_start(now - SETTLED, seconds=after)
    statement = ROLL_UP.format(
        table=PoolSample._meta.db_table,  # noqa: SLF001 - Django's documented name for it
        columns=", ".join(AVERAGED_COLUMNS),
        means=", ".join(f"avg({name})" for name in AVERAGED_COLUMNS),
    )
    since = interval_start(until - ROLLUP_LOOKBACK[after], seconds=after)
    facts: dict[str, int | datetime] = {
        "after": int(after),
        "before": int(out_of),
        "since": since,
        "until": until,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, {**facts})


def interval_start(moment: datetime, *, seconds: int) -> datetime:
    """Return the start of the interval of `seconds` that contains `moment`."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, tz=moment.tzinfo)


def delete_expired(*, now: datetime) -> int:
    """Delete rows that are older than their retention and return their number."""
    retentions = {
        Stretch.SLOT: timedelta(days=settings.SAMPLE_DAYS),
        Stretch.FIVE_MINUTES: FIVE_MINUTES_RETENTION,
        Stretch.HOUR: HOURS_RETENTION,
    }
    gone = 0
    for stretch, age in retentions.items():
        gone += PoolSample.objects.filter(stretch=stretch, at__lt=now - age).delete()[0]
    return gone + ScalingDecision.objects.filter(at__lt=now - DECISIONS_RETENTION).delete()[0]
