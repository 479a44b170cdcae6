"""Cancelling a run from the console: the row says it, and its worker is woken up to read it."""

import logging
from functools import partial

import redis
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from agents.models import Run
from agents.models.choices import ACTIVE, RunState
from kernel.redis import connect
from tenants.scoping import tenant_scope

log = logging.getLogger(__name__)


@transaction.atomic
def cancel_run(tenant_id: int, run_id: str) -> bool:
    """Ask for a run to be cancelled, wherever it is. False if it had ended, or was asked before.

    One that waits for a person is cancelled at once: no worker holds it.
    """
    with tenant_scope(tenant_id):
        runs = Run.objects.filter(public_id=run_id)
        asked = runs.filter(state__in=ACTIVE, cancel_requested_at=None)
        worker = runs.values_list("worker", flat=True).first()
        won = asked.update(cancel_requested_at=Now(), incomplete_reason="cancelled") == 1
        runs.filter(state=RunState.REQUIRES_APPROVAL).update(
            state=RunState.CANCELLED, ended_at=Now()
        )
    if won and worker:
        transaction.on_commit(partial(tell_worker, worker, run_id))
    return won


def tell_worker(worker: str, run_id: str) -> None:
    """As far as Redis can be reached; the worker reads the row anyway when it renews its lease."""
    try:
        with connect(settings.REDIS_URL, timeout=0.5) as client:
            client.publish(f"tenantry:worker:{worker}:runs", f"{run_id} cancelled")
    except redis.RedisError as error:
        log.warning("a worker was not told to cancel: %s", error.__class__.__name__)
