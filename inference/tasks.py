"""The timed work of this context."""

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
    """Take endpoints out whose heartbeat stopped. Safe to deliver twice."""
    after = timedelta(seconds=settings.ENDPOINT_EXPIRY_SECONDS)
    return registration.expire_silent_endpoints(now=timezone.now(), after=after)


@shared_task(ignore_result=True)
def probe_due_endpoints(**_future: object) -> int:
    """Ask endpoints that are due whether they live. Safe to deliver twice."""
    return probes.probe_due(now=timezone.now())


@shared_task(ignore_result=True)
def probe_completions(**_future: object) -> int:
    """Ask endpoints that are due for one token. Safe to deliver twice."""
    return probes.probe_completions(now=timezone.now())


@shared_task(ignore_result=True)
def evaluate_pools(**_future: object) -> int:
    """Look at every pool, and scale those whose policy wants that. Safe to deliver twice."""
    return evaluation.evaluate_pools(now=timezone.now())


@shared_task(ignore_result=True)
def sum_up_samples(**_future: object) -> None:
    """Sum up what pools did, and forget what is old. Safe to deliver twice."""
    rollup.sum_up(now=timezone.now())
    rollup.forget(now=timezone.now())
