"""Cancelling runs from the console: the row is marked, and its worker is sent a message."""

import logging
from functools import partial

import redis
from django.conf import settings
from django.db import transaction

from agents.events.replay import end_frame
from agents.events.stream import end_arguments
from agents.runs.store import ask_cancel, load_run
from agents.runs.worker_signals import WHY, stop_on_worker
from agents.schema.run_records import RunRecord
from kernel.storage.redis import connect

log = logging.getLogger(__name__)


@transaction.atomic
def cancel_run(tenant_id: int, run_id: str) -> bool:
    """Cancel a run, wherever it is. False if it had ended. Raises NotFound."""
    if load_run(tenant_id, run_id).is_over:
        return False
    known = ask_cancel(tenant_id, run_id, WHY)
    if known.is_over:
        # It waited for a person: no worker is there to write the end.
        transaction.on_commit(partial(end_log, known))
    else:
        transaction.on_commit(partial(stop_on_worker, known.worker, run_id))
    return True


def end_log(run: RunRecord) -> None:
    """As far as Redis can be reached; a reader looks into the table after a silence."""
    try:
        with connect(settings.REDIS_URL, timeout=0.5) as client:
            client.eval(*end_arguments(run.id, end_frame(run), ttl=settings.RUN_LOG_SECONDS))
    except redis.RedisError as error:
        log.warning("event log: end not written (error=%s)", error.__class__.__name__)
