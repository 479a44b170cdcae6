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
    """Seconds since a worker last consumed a task; None if nothing legible says so."""
    last = cache.get(CANARY)
    if not isinstance(last, int | float):
        return None
    return max(0.0, timezone.now().timestamp() - last)
