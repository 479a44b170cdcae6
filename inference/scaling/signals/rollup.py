"""What pools did, summed up as it grows old, and forgotten at last."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from inference.models import PoolSample, ScalingDecision

Stretch = PoolSample.Stretch
FIVE_MINUTES_KEPT = timedelta(days=60)
HOURS_KEPT = timedelta(days=730)
DECISIONS_KEPT = timedelta(days=90)
SETTLED = timedelta(minutes=2)
"""Nobody writes into a stretch that ended so long ago."""
LOOKED_BACK = {Stretch.FIVE_MINUTES: timedelta(hours=6), Stretch.HOUR: timedelta(days=3)}
"""How much a pause of Celery may last until something is not summed up."""
AVERAGED = (
    *("replicas", "ready", "desired", "least", "most", "waiting", "in_flight"),
    *("request_rate", "ttft_p95", "kv_cache", "cpu", "memory", "gpu"),
)
SUM_UP = """
    INSERT INTO {table} (pool_id, stretch, at, {columns})
    SELECT pool_id, %(after)s,
           date_bin(make_interval(secs => %(after)s), at, 'epoch'::timestamptz) AS began,
           {means}
    FROM {table}
    WHERE stretch = %(before)s AND at >= %(since)s AND at < %(until)s
    GROUP BY pool_id, began
    ON CONFLICT DO NOTHING
"""


def sum_up(*, now: datetime) -> None:
    """Five minutes out of quarters of a minute, and hours out of those. Safe to run twice."""
    with transaction.atomic():
        sum_up_into(Stretch.FIVE_MINUTES, out_of=Stretch.SLOT, now=now)
        sum_up_into(Stretch.HOUR, out_of=Stretch.FIVE_MINUTES, now=now)


def sum_up_into(after: Stretch, *, out_of: Stretch, now: datetime) -> None:
    """Of whole stretches only: what ended."""
    until = began(now - SETTLED, seconds=after)
    statement = SUM_UP.format(
        table=PoolSample._meta.db_table,  # noqa: SLF001 - Django's documented name for it
        columns=", ".join(AVERAGED),
        means=", ".join(f"avg({name})" for name in AVERAGED),
    )
    since = began(until - LOOKED_BACK[after], seconds=after)
    facts: dict[str, int | datetime] = {
        "after": int(after),
        "before": int(out_of),
        "since": since,
        "until": until,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, {**facts})


def began(moment: datetime, *, seconds: int) -> datetime:
    """When the stretch of so many seconds began that `moment` is in."""
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, tz=moment.tzinfo)


def forget(*, now: datetime) -> int:
    """Delete what is older than it is kept. Returns how many rows went."""
    kept = {
        Stretch.SLOT: timedelta(days=settings.SAMPLE_DAYS),
        Stretch.FIVE_MINUTES: FIVE_MINUTES_KEPT,
        Stretch.HOUR: HOURS_KEPT,
    }
    gone = 0
    for stretch, age in kept.items():
        gone += PoolSample.objects.filter(stretch=stretch, at__lt=now - age).delete()[0]
    return gone + ScalingDecision.objects.filter(at__lt=now - DECISIONS_KEPT).delete()[0]
