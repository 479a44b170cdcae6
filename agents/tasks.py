"""The timed work of this context. Rows say what is due: a task may come twice, or late."""

import logging
from collections.abc import Sequence
from datetime import timedelta

import redis
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from agents import erasure, rollout_evaluation
from agents.events.bell import bell_of_conversation
from agents.events.rebuilt import end_frame
from agents.events.stream import end_arguments
from agents.run_store import bury_dead_runs
from agents.runtime.run_rows import KnownRun
from agents.waiting_runs import expire_waiting
from kernel.redis import connect

log = logging.getLogger(__name__)

MOST_DAYS_TO_DECIDE = timedelta(days=7)
SECONDS_TO_START = 600
SECONDS_TO_JUDGE = 60
"""A task that nobody took by then is dropped: the next look finds the same."""


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


@shared_task(ignore_result=True)
def expire_approvals(**_future: object) -> int:
    """End the runs that have waited too long for a person, and tell those that follow them."""
    ended = expire_waiting(now=timezone.now(), after=MOST_DAYS_TO_DECIDE)
    if ended:
        try:
            tell_ends(ended)
        except (redis.RedisError, OSError) as error:
            log.warning("the end of runs is not told: %s", error.__class__.__name__)
    return len(ended)


def tell_ends(runs: Sequence[KnownRun]) -> None:
    """Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        for run in runs:
            arguments = end_arguments(run.id, end_frame(run), ttl=settings.RUN_LOG_SECONDS)
            client.eval(*arguments)
            if run.conversation:
                client.publish(bell_of_conversation(run.conversation), "")


@shared_task(ignore_result=True)
def erase_what_expired(**_future: object) -> None:
    """Keep to the retention of every tenant that has one."""
    for tenant_id in erasure.tenants_with_retention():
        erase_expired.apply_async((tenant_id,), expires=SECONDS_TO_START)


@shared_task(ignore_result=True)
def erase_expired(tenant_id: int, **_future: object) -> None:
    erasure.erase_expired(tenant_id, now=timezone.now())


@shared_task(ignore_result=True)
def finish_erasures(**_future: object) -> int:
    """Go on with erasures of whole tenants, and with what Redis could not delete at once."""
    return erasure.carry_out_open()


@shared_task(ignore_result=True)
def judge_rollouts(**_future: object) -> None:
    """Compare every candidate with what is served, each in a task of its own."""
    for tenant_id, rollout_id in rollout_evaluation.running_rollouts():
        judge_rollout.apply_async((tenant_id, rollout_id), expires=SECONDS_TO_JUDGE)


@shared_task(ignore_result=True)
def judge_rollout(tenant_id: int, rollout_id: int, **_future: object) -> bool:
    return rollout_evaluation.judge_rollout(tenant_id=tenant_id, rollout_id=rollout_id)
