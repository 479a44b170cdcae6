"""How pools are scaled, for Prometheus (CONTRACT §5): read when the console is scraped.

Celery's worker decides, and has no address to be scraped at; what it decided is in the tables.
"""

from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from inference.models import ModelPool, ScalingState

MAX_LOOK_AGE_SECONDS = 60
"""Pools are looked at every 15 seconds. Older looks are left out: what scales by them would follow
a load that is over, and an absent series is taken for unknown."""
STATES = ("ready", "unhealthy", "draining")


class PoolsCollector(Collector):
    """The last look at every pool."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Without a question to the database, which may not be there when the console starts."""
        return list(families())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        replicas, desired, signals = families()
        for pool, shown in look_up():
            states = shown.get("states", {})
            counts = {state: states.get(state, 0) for state in STATES}
            there = counts["ready"] + counts["unhealthy"]
            counts["starting"] = max(0, shown.get("replicas", 0) - there)
            for state, count in counts.items():
                replicas.add_metric([pool, state], count)
            if "desired" in shown:
                desired.add_metric([pool], shown["desired"])
            for kind, value in shown.get("signals", {}).items():
                if value is not None:
                    signals.add_metric([pool, kind], value)
        yield from (replicas, desired, signals)


def families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(
            "tenantry_pool_replicas", "Replicas of a pool.", labels=["pool", "state"]
        ),
        GaugeMetricFamily(
            "tenantry_pool_desired_replicas", "As many as its policy wants.", labels=["pool"]
        ),
        GaugeMetricFamily(
            "tenantry_scaling_signal",
            "A signal as it was last seen: of the whole pool, or a mean of its replicas.",
            labels=["pool", "signal"],
        ),
    )


def look_up() -> list[tuple[str, dict[str, Any]]]:
    """Each pool's last look, if it is fresh.

    None while PostgreSQL is away: other metrics are served all the same.

    The shown JSON is ours.
    """
    try:
        names = dict(ModelPool.objects.values_list("pk", "name"))
        rows = list(ScalingState.objects.values_list("pool_id", "shown"))
    except (DatabaseError, InterfaceError):
        return []
    oldest = timezone.now().timestamp() - MAX_LOOK_AGE_SECONDS
    return [
        (names[pool], shown)
        for pool, shown in rows
        if pool in names and shown.get("at", 0.0) >= oldest
    ]


def register() -> None:
    """Called once, when the console starts."""
    REGISTRY.register(PoolsCollector())
