"""Messages to gateway workers about their runs, from the console and from jobs."""

import logging

import redis
from django.conf import settings

from agents.events.pubsub import worker_channel
from kernel.storage.redis import connect

log = logging.getLogger(__name__)

CANCEL_REASON = "cancelled"


def stop_on_worker(worker: str, run_id: str) -> None:
    """Request a cancellation. A failure of Redis is logged only: the worker also reads the row,
    when it renews its lease.
    """
    try:
        with connect(settings.REDIS_URL, timeout=0.5) as client:
            client.publish(worker_channel(worker), f"{run_id} {CANCEL_REASON}")
    except redis.RedisError as error:
        log.warning("runs: cancellation not published (error=%s)", error.__class__.__name__)
