"""Prometheus metrics of scaling, read from the tables when the console is scraped.

Celery's worker decides, but has no address that can be scraped.
"""

from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from inference.models import ModelPool, ScalingState

MAX_STATUS_AGE_SECONDS = 60
"""Pools are evaluated every 15 seconds. Older states are omitted: autoscalers treat an absent
series as unknown, but would act on an outdated value.
"""
STATES = ("ready", "unhealthy", "draining")


class PoolsCollector(Collector):
    """Exports the last evaluation of every pool."""

    def describe(self) -> list[GaugeMetricFamily]:
        """Query no database: it may not be available when the console starts."""
        return list(families())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        replicas, desired, signals = families()
        for pool, status in fresh_statuses():
            states = status.get("states", {})
            counts = {state: states.get(state, 0) for state in STATES}
            there = counts["ready"] + counts["unhealthy"]
            counts["starting"] = max(0, status.get("replicas", 0) - there)
            for state, count in counts.items():
                replicas.add_metric([pool, state], count)
            if "desired" in status:
                desired.add_metric([pool], status["desired"])
            for kind, value in status.get("signals", {}).items():
                if value is not None:
                    signals.add_metric([pool, kind], value)
        yield from (replicas, desired, signals)


def families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily]:
    return (
        GaugeMetricFamily(
            "tenantry_pool_replicas", "Replicas of a pool.", labels=["pool", "state"]
        ),
        GaugeMetricFamily(
            "tenantry_pool_desired_replicas",
            "Number of replicas that the pool's policy recommends.",
            labels=["pool"],
        ),
        GaugeMetricFamily(
            "tenantry_scaling_signal",
            "Last value of a signal: the sum of the pool, or the mean of its replicas.",
            labels=["pool", "signal"],
        ),
    )


def fresh_statuses() -> list[tuple[str, dict[str, Any]]]:
    """Return the name and the status of each pool that was evaluated recently.

    Empty while PostgreSQL is unavailable, so that other metrics are still served.
    """
    try:
        names = dict(ModelPool.objects.values_list("pk", "name"))
        rows = list(ScalingState.objects.values_list("pool_id", "status"))
    except (DatabaseError, InterfaceError):
        return []
    oldest = timezone.now().timestamp() - MAX_STATUS_AGE_SECONDS
    return [
        (names[pool], status)
        for pool, status in rows
        if pool in names and status.get("at", 0.0) >= oldest
    ]


def register() -> None:
    """Register the collector; called once, when the console starts."""
    REGISTRY.register(PoolsCollector())
