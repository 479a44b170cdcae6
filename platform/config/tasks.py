"""The canary: a worker that does not hear it is deaf, whatever its process looks like."""

from celery import shared_task
from django.core.cache import cache
from django.utils import timezone

CANARY = "canary"


@shared_task(ignore_result=True)
def sing(**_future: object) -> None:
    """Note that a task was consumed just now."""
    cache.set(CANARY, timezone.now().timestamp(), timeout=None)


def canary_age() -> float | None:
    """Seconds since a worker last consumed a task; None if none ever did."""
    last = cache.get(CANARY)
    return None if last is None else max(0.0, timezone.now().timestamp() - last)
