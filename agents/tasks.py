"""The periodic tasks of agents. Rows determine what is due, so tasks may run twice or late."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import redis
from celery import shared_task
from django.conf import settings
from django.utils import timezone

from agents.a2a.push_delivery import send_due_notifications
from agents.erasure import service as erasure
from agents.events.pubsub import conversation_channel
from agents.events.replay import end_frame
from agents.events.stream import end_arguments
from agents.messages.maintenance import attempt_due, delete_old_messages, settle_ended
from agents.nodes import registration as nodes
from agents.nodes.selectors import has_agent_nodes
from agents.redis_keys import RUN_QUEUE
from agents.rollouts import evaluation as rollout_evaluation
from agents.runs.paused_runs import expire_waiting
from agents.runs.queue import expire_queued, fail_unresumable_runs
from agents.runs.store import fail_dead_runs
from agents.schedules.firing import delete_old_firings, fire_due
from agents.schema.run_records import RunRecord
from agents.tenant_tasks.callbacks import create_callbacks
from agents.tenant_tasks.store import adopt_unlinked
from kernel.storage.redis import connect
from tenants.walks import walk_tenants

log = logging.getLogger(__name__)

APPROVAL_TIMEOUT = timedelta(days=7)
MAX_ERASE_SECONDS = 200
"""Below Celery's time limit of a task, because the current tenant is finished first."""
MAX_EVALUATION_SECONDS = 40
MAX_NOTIFICATION_SECONDS = 20


@shared_task(ignore_result=True)
def end_dead_runs(**_future: object) -> int:
    """End the runs whose worker died, and write the end to their event logs.

    If there are agent nodes, they return background runs to the run queue.
    `tenants.tasks.bill_orphans` bills their usage with their holds. If Redis is unavailable, the
    next reader of the log writes the end.
    """
    now = timezone.now()
    failed = fail_unresumable_runs(now=now) if has_agent_nodes() else fail_dead_runs(now=now)
    publish_if_possible(failed, what="dead runs")
    return len(failed)


@shared_task(ignore_result=True)
def expire_queued_runs(**_future: object) -> int:
    """End the queued runs whose deadline has passed, and write the end to their event logs."""
    ended = expire_queued()
    publish_if_possible(ended, what="expired runs")
    return len(ended)


@shared_task(ignore_result=True)
def expire_silent_nodes(**_future: object) -> int:
    """Mark nodes without heartbeats as down, and delete old ones. Safe to deliver twice."""
    return nodes.expire_silent_nodes()


@shared_task(ignore_result=True)
def start_due_schedules(**_future: object) -> int:
    """Start the runs of due schedules. Safe to deliver twice."""
    return fire_due(now=timezone.now())


@shared_task(ignore_result=True)
def deliver_messages(**_future: object) -> int:
    """Record the ends of messages' runs, and attempt due deliveries. Safe to deliver twice."""
    now = timezone.now()
    settle_ended(now=now)
    started = attempt_due(now=now, max_queued=settings.TENANT_QUEUED_RUNS)
    if started:
        wake_nodes()
    return started


def wake_nodes() -> None:
    """Make the agent nodes look for queued runs. If it fails, they do so a second later."""
    try:
        with connect(settings.REDIS_URL) as client:
            client.publish(RUN_QUEUE, "")
    except (redis.RedisError, OSError) as error:
        log.debug("run queue: nodes not woken (error=%s)", error.__class__.__name__)


@shared_task(ignore_result=True)
def expire_approvals(**_future: object) -> int:
    """End the runs whose approvals have timed out, and write the end to their event logs."""
    ended = expire_waiting(now=timezone.now(), after=APPROVAL_TIMEOUT)
    publish_if_possible(ended, what="runs with expired approvals")
    return len(ended)


def publish_if_possible(runs: Sequence[RunRecord], *, what: str) -> None:
    """Write the ends of runs to their event logs. A failure of Redis is logged only."""
    if not runs:
        return
    try:
        publish_ends(runs)
    except (redis.RedisError, OSError) as error:
        log.warning("event log: end of %s not written (error=%s)", what, error.__class__.__name__)


@shared_task(ignore_result=True)
def adopt_tasks(**_future: object) -> int:
    """Link tasks with runs that their gateway could not link, and delete those without a run."""
    return adopt_unlinked(now=timezone.now())


@shared_task(ignore_result=True)
def send_task_callbacks(**_future: object) -> int:
    """Create the notices of tasks that have ended; `tenants.tasks.deliver_notices` sends them."""
    return create_callbacks(now=timezone.now())


@shared_task(ignore_result=True)
def send_push_notifications(**_future: object) -> int:
    """Send the push notifications of A2A tasks that have ended or wait. Safe to deliver twice."""
    return send_due_notifications(max_seconds=MAX_NOTIFICATION_SECONDS)


def publish_ends(runs: Sequence[RunRecord]) -> None:
    """Write the ends of runs to their event logs, and notify subscribers. Raises RedisError."""
    with connect(settings.REDIS_URL) as client:
        for run in runs:
            arguments = end_arguments(run.id, end_frame(run), ttl=settings.RUN_LOG_SECONDS)
            client.eval(*arguments)
            if run.conversation:
                client.publish(conversation_channel(run.conversation), "")


@shared_task(ignore_result=True)
def erase_what_expired(**_future: object) -> None:
    """Erase the data past the retention period of every tenant that has one, the history of
    schedules that is older than 90 days, and messages that are older than 30 days.
    """
    delete_old_firings(now=timezone.now())
    delete_old_messages(now=timezone.now())
    erase = partial(erasure.erase_expired, now=timezone.now())
    tenants = erasure.tenants_with_retention()
    walk_tenants("erase_what_expired", tenants, erase, max_seconds=MAX_ERASE_SECONDS)


@shared_task(ignore_result=True)
def finish_erasures(**_future: object) -> int:
    """Continue unfinished erasures, of tenants or in Redis."""
    return erasure.resume_open_erasures()


@shared_task(ignore_result=True)
def judge_rollouts(**_future: object) -> None:
    """Compare every candidate with the published revision, and roll back regressions."""
    running = rollout_evaluation.running_rollouts()
    tenants = {tenant_id for tenant_id, _ in running}

    def evaluate(tenant_id: int) -> None:
        for owner_id, rollout_id in running:
            if owner_id == tenant_id:
                rollout_evaluation.evaluate_rollout(tenant_id=tenant_id, rollout_id=rollout_id)

    walk_tenants("judge_rollouts", tenants, evaluate, max_seconds=MAX_EVALUATION_SECONDS)
