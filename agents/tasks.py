"""The timed work of this context. Rows say what is due: a task may come twice, or late."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import redis
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from agents.erasure import service as erasure
from agents.events.pubsub import conversation_channel
from agents.events.replay import end_frame
from agents.events.stream import end_arguments
from agents.rollouts import evaluation as rollout_evaluation
from agents.runs.paused_runs import expire_waiting
from agents.runs.store import fail_dead_runs
from agents.schema.run_records import RunRecord
from kernel.storage.redis import connect
from tenants.walks import walk_tenants

log = logging.getLogger(__name__)

MAX_TIME_TO_DECIDE = timedelta(days=7)
MAX_ERASE_SECONDS = 200
"""Below Celery's limit for a task; a tenant in the middle is finished."""
MAX_JUDGE_SECONDS = 40


@shared_task(ignore_result=True)
def end_dead_runs(**_future: object) -> int:
    """End the runs whose worker died, and tell those that follow them.

    What they used is billed with their holds, by `tenants.tasks.bill_orphans`. Should Redis be
    away, whoever reads the log of such a run writes its end.
    """
    buried = fail_dead_runs(now=timezone.now())
    if buried:
        try:
            tell_ends(buried)
        except (redis.RedisError, OSError) as error:
            log.warning(
                "event log: end of dead runs not written (error=%s)", error.__class__.__name__
            )
    return len(buried)


@shared_task(ignore_result=True)
def expire_approvals(**_future: object) -> int:
    """End the runs that have waited too long for a person, and tell those that follow them."""
    ended = expire_waiting(now=timezone.now(), after=MAX_TIME_TO_DECIDE)
    if ended:
        try:
            tell_ends(ended)
        except (redis.RedisError, OSError) as error:
            log.warning(
                "event log: end of dead runs not written (error=%s)", error.__class__.__name__
            )
    return len(ended)


def tell_ends(runs: Sequence[RunRecord]) -> None:
    """Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        for run in runs:
            arguments = end_arguments(run.id, end_frame(run), ttl=settings.RUN_LOG_SECONDS)
            client.eval(*arguments)
            if run.conversation:
                client.publish(conversation_channel(run.conversation), "")


@shared_task(ignore_result=True)
def erase_what_expired(**_future: object) -> None:
    """Keep to the retention of every tenant that has one."""
    look = partial(erasure.erase_expired, now=timezone.now())
    tenants = erasure.tenants_with_retention()
    walk_tenants("erase_what_expired", tenants, look, max_seconds=MAX_ERASE_SECONDS)


@shared_task(ignore_result=True)
def finish_erasures(**_future: object) -> int:
    """Go on with erasures of whole tenants, and with what Redis could not delete at once."""
    return erasure.carry_out_open()


@shared_task(ignore_result=True)
def judge_rollouts(**_future: object) -> None:
    """Compare every candidate with what is served."""
    running = rollout_evaluation.running_rollouts()
    tenants = {tenant_id for tenant_id, _ in running}

    def judge(tenant_id: int) -> None:
        for owner_id, rollout_id in running:
            if owner_id == tenant_id:
                rollout_evaluation.evaluate_rollout(tenant_id=tenant_id, rollout_id=rollout_id)

    walk_tenants("judge_rollouts", tenants, judge, max_seconds=MAX_JUDGE_SECONDS)
