"""The timed work of this context."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from inference import registry


@shared_task(ignore_result=True)
def expire_silent_endpoints(**_future: object) -> int:
    """Take endpoints out whose heartbeat stopped. Safe to deliver twice."""
    after = timedelta(seconds=settings.ENDPOINT_EXPIRY_SECONDS)
    return registry.expire_silent_endpoints(now=timezone.now(), after=after)
