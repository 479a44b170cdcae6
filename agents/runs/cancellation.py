"""Cancelling runs from the console: the row is marked, and its worker is sent a message."""

import logging
from functools import partial

import redis
from django.conf import settings
from django.db import transaction

from agents.events.replay import end_frame
from agents.events.stream import end_arguments
from agents.runs.store import load_run, request_cancel
from agents.runs.worker_signals import CANCEL_REASON, stop_on_worker
from agents.schema.run_records import RunRecord
from kernel.storage.redis import connect

log = logging.getLogger(__name__)


@transaction.atomic
def cancel_run(tenant_id: int, run_id: str) -> bool:
    """Cancel a run of any worker. False if it had ended. Raises NotFound."""
    if load_run(tenant_id, run_id).is_over:
        return False
    known = request_cancel(tenant_id, run_id, CANCEL_REASON)
    if known.is_over:
        # It was paused: there is no worker that could write the end of the log.
        transaction.on_commit(partial(end_log, known))
    else:
        transaction.on_commit(partial(stop_on_worker, known.worker, run_id))
    return True


def end_log(run: RunRecord) -> None:
    """Write the end of the log. A failure of Redis is logged only: readers also poll the table."""
    try:
        with connect(settings.REDIS_URL, timeout=0.5) as client:
            client.eval(*end_arguments(run.id, end_frame(run), ttl=settings.RUN_LOG_SECONDS))
    except redis.RedisError as error:
        log.warning("event log: end not written (error=%s)", error.__class__.__name__)
