"""The heartbeat of Celery's workers: a task that each queue consumes now and then, and when."""

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

CANARY = "canary"
DEFAULT_CANARY = "canary:default"
"""Of the queue in which longer work waits."""


@shared_task(ignore_result=True)
def record_heartbeat(**_future: object) -> None:
    """Note that a task was consumed just now."""
    cache.set(CANARY, timezone.now().timestamp(), timeout=None)


@shared_task(ignore_result=True)
def record_heartbeat_of_default_queue(**_future: object) -> None:
    """Note that a task of the default queue was consumed just now."""
    cache.set(DEFAULT_CANARY, timezone.now().timestamp(), timeout=None)


def heartbeat_age(name: str = CANARY) -> float | None:
    """Seconds since a worker last consumed a task; None if nothing legible says so."""
    last = cache.get(name)
    if not isinstance(last, int | float):
        return None
    return max(0.0, timezone.now().timestamp() - last)
