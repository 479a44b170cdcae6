"""The heartbeat of Celery's workers: the time at which each queue last consumed a task."""

from collections.abc import Iterator

import redis
from celery import shared_task
from django.core.cache import cache
from django.utils import timezone
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from config.celery import CRITICAL_QUEUE, DEFAULT_QUEUE

HEARTBEAT_KEY = "canary"
DEFAULT_HEARTBEAT_KEY = "canary:default"
"""The key of the heartbeat of the queue for long tasks."""
KEYS = {CRITICAL_QUEUE: HEARTBEAT_KEY, DEFAULT_QUEUE: DEFAULT_HEARTBEAT_KEY}
"""The key of each queue."""


@shared_task(ignore_result=True)
def record_heartbeat(**_future: object) -> None:
    """Record that a task was consumed now."""
    cache.set(HEARTBEAT_KEY, timezone.now().timestamp(), timeout=None)


@shared_task(ignore_result=True)
def record_heartbeat_of_default_queue(**_future: object) -> None:
    """Record that a task of the default queue was consumed now."""
    cache.set(DEFAULT_HEARTBEAT_KEY, timezone.now().timestamp(), timeout=None)


def heartbeat_age(name: str = HEARTBEAT_KEY) -> float | None:
    """Return the seconds since a worker last consumed a task; None without a readable record."""
    last = cache.get(name)
    if not isinstance(last, int | float):
        return None
    return max(0.0, timezone.now().timestamp() - last)


class HeartbeatCollector(Collector):
    """Exports the age of the heartbeats from the console: Celery has no address to be scraped.

    A queue without a heartbeat has no series, and none has one while Redis is unavailable.
    """

    def describe(self) -> list[GaugeMetricFamily]:
        """Read nothing: Redis may not be available when the console starts."""
        return [family()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        ages = family()
        for queue, key in KEYS.items():
            try:
                age = heartbeat_age(key)
            except redis.RedisError:
                break
            if age is not None:
                ages.add_metric([queue], age)
        yield ages


def family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "tenantry_worker_heartbeat_age_seconds",
        "Time since a Celery worker last consumed a task of the queue.",
        labels=["queue"],
    )


def register() -> None:
    """Register the collector; called once, when the console starts."""
    REGISTRY.register(HeartbeatCollector())
