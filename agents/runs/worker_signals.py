"""Telling gateway workers what is wanted of their runs, from the console and from jobs."""

import logging

import redis
from django.conf import settings

from agents.events.pubsub import worker_channel
from kernel.storage.redis import connect

log = logging.getLogger(__name__)

WHY = "cancelled"


def stop_on_worker(worker: str, run_id: str) -> None:
    """As far as Redis can be reached; the worker reads the row anyway when it renews its lease."""
    try:
        with connect(settings.REDIS_URL, timeout=0.5) as client:
            client.publish(worker_channel(worker), f"{run_id} {WHY}")
    except redis.RedisError as error:
        log.warning("runs: cancellation not published (error=%s)", error.__class__.__name__)
