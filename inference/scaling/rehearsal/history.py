"""Reads the samples of a pool for charts and rehearsals."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Avg

from inference.models import ModelEndpoint, ModelPool, PoolSample
from inference.scaling.rehearsal.estimation import Recorded

Stretch = PoolSample.Stretch
SHARES = ("cpu", "memory", "gpu")
COLUMNS = ("waiting", "in_flight", "request_rate", "ttft_p95", "kv_cache", *SHARES)
DEFAULT_SLOTS = 16.0


def read_samples(*, pool: ModelPool, since: datetime, until: datetime) -> list[Recorded]:
    """Return the samples in the finest resolution that is still stored, the oldest first."""
    is_fine = since >= until - timedelta(days=settings.SAMPLE_DAYS)
    stretch = Stretch.SLOT if is_fine else Stretch.FIVE_MINUTES
    rows = PoolSample.objects.filter(pool=pool, stretch=stretch, at__gte=since, at__lt=until)
    found = rows.order_by("at").values("at", "replicas", "ready", *COLUMNS)
    return [recorded(row, seconds=float(stretch)) for row in found.iterator(chunk_size=5000)]


def recorded(row: Mapping[str, Any], *, seconds: float) -> Recorded:
    return Recorded(
        at=row["at"].timestamp(),
        seconds=seconds,
        replicas=row["replicas"],
        ready=row["ready"],
        waiting=row["waiting"],
        in_flight=row["in_flight"],
        request_rate=row["request_rate"],
        ttft_p95=row["ttft_p95"],
        shares={name: row[name] for name in SHARES if row[name] is not None},
    )


def slots_of(pool: ModelPool) -> float:
    """Return the mean concurrency of the pool's endpoints, in requests."""
    rows = ModelEndpoint.objects.filter(pool=pool)
    found = rows.aggregate(mean=Avg("max_concurrency"))["mean"]
    return float(found or DEFAULT_SLOTS)
