"""The periodic tasks of this context."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from inference.endpoints import registration
from inference.probes import service as probes
from inference.scaling import evaluation
from inference.scaling.signals import rollup


@shared_task(ignore_result=True)
def expire_silent_endpoints(**_future: object) -> int:
    """Expire endpoints without heartbeats. Safe to deliver twice."""
    after = timedelta(seconds=settings.ENDPOINT_EXPIRY_SECONDS)
    return registration.expire_silent_endpoints(now=timezone.now(), after=after)


@shared_task(ignore_result=True)
def probe_due_endpoints(**_future: object) -> int:
    """Probe due endpoints. Safe to deliver twice."""
    return probes.probe_due(now=timezone.now())


@shared_task(ignore_result=True)
def probe_completions(**_future: object) -> int:
    """Send due completion probes. Safe to deliver twice."""
    return probes.probe_completions(now=timezone.now())


@shared_task(ignore_result=True)
def evaluate_pools(**_future: object) -> int:
    """Evaluate the scaling of every pool. Safe to deliver twice."""
    return evaluation.evaluate_pools(now=timezone.now())


@shared_task(ignore_result=True)
def sum_up_samples(**_future: object) -> None:
    """Aggregate the samples of pools, and delete old ones. Safe to deliver twice."""
    rollup.roll_up(now=timezone.now())
    rollup.delete_expired(now=timezone.now())
