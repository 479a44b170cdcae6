"""The timed work of this context."""

import logging
from collections.abc import Sequence

import redis
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from agents.events.bell import bell_of_conversation
from agents.events.rebuilt import end_frame
from agents.events.stream import end_arguments
from agents.run_store import bury_dead_runs
from agents.runtime.run_rows import KnownRun
from kernel.redis import connect

log = logging.getLogger(__name__)


@shared_task(ignore_result=True)
def end_dead_runs(**_future: object) -> int:
    """End the runs whose worker died, and tell those that follow them.

    What they used is billed with their holds, by `tenants.tasks.bill_orphans`. Should Redis be
    away, whoever reads the log of such a run writes its end.
    """
    buried = bury_dead_runs(now=timezone.now())
    if buried:
        try:
            tell_ends(buried)
        except (redis.RedisError, OSError) as error:
            log.warning("the end of runs is not told: %s", error.__class__.__name__)
    return len(buried)


def tell_ends(runs: Sequence[KnownRun]) -> None:
    """Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        for run in runs:
            arguments = end_arguments(run.id, end_frame(run), ttl=settings.RUN_LOG_SECONDS)
            client.eval(*arguments)
            if run.conversation:
                client.publish(bell_of_conversation(run.conversation), "")
