"""The Celery application for periodic tasks, with the settings of the console."""

import os

from celery import Celery
from celery.schedules import schedule
from celery.signals import beat_init, celeryd_init, setup_logging

from config.broker import use_transport
from config.error_exit import exit_on_configuration_error
from kernel.logs import identify_process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")

use_transport()
app = Celery("tenantry")
with exit_on_configuration_error():
    app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect  # type: ignore[untyped-decorator]
def keep_djangos_logging(**_: object) -> None:
    """Leave logging to Django's settings: Celery would replace the level by that of `-l`."""


@celeryd_init.connect  # type: ignore[untyped-decorator]
def identify_worker(sender: str, **_: object) -> None:
    """Put the worker's name into the log lines of this process, and of those that it forks."""
    identify_process(plane="celery", worker=sender)


@beat_init.connect  # type: ignore[untyped-decorator]
def identify_beat(**_: object) -> None:
    """Put the name of the scheduler into its log lines."""
    identify_process(plane="celery", worker="beat")


app.autodiscover_tasks()
app.autodiscover_tasks(["config"], related_name="worker_heartbeat")

CRITICAL_QUEUE = "critical"
"""The queue of short tasks that must start within seconds. It has a worker of its own, so that it
never waits for tasks that process thousands of tenants."""
DEFAULT_QUEUE = "celery"
CRITICAL_TASKS = (
    "inference.tasks.expire_silent_endpoints",
    "inference.tasks.probe_due_endpoints",
    "inference.tasks.probe_completions",
    "inference.tasks.evaluate_pools",
    "tenants.tasks.bill_orphans",
    "agents.tasks.end_dead_runs",
    "agents.tasks.start_due_schedules",
    "agents.tasks.deliver_messages",
    "agents.tasks.expire_queued_runs",
    "agents.tasks.expire_silent_nodes",
    "config.worker_heartbeat.record_heartbeat",
)
# A worker that is started without `-Q` serves both.
app.conf.task_queues = {
    name: {"exchange": name, "binding_key": name} for name in (DEFAULT_QUEUE, CRITICAL_QUEUE)
}
app.conf.task_default_queue = DEFAULT_QUEUE
app.conf.task_routes = {name: {"queue": CRITICAL_QUEUE} for name in CRITICAL_TASKS}


def every(seconds: float, task: str) -> dict[str, object]:
    """Return a schedule entry of a task that processes what is due.

    A task that is not consumed in time expires, because the next one reads the same rows.
    """
    return {"task": task, "schedule": schedule(seconds), "options": {"expires": seconds}}


app.conf.beat_schedule = {
    "expire-silent-endpoints": every(5, "inference.tasks.expire_silent_endpoints"),
    "probe-due-endpoints": every(1, "inference.tasks.probe_due_endpoints"),
    "probe-completions": every(5, "inference.tasks.probe_completions"),
    # More often than pools are evaluated: a task that starts just before a 15 s interval begins
    # must not skip that interval.
    "evaluate-pools": every(5, "inference.tasks.evaluate_pools"),
    "sum-up-samples": every(300, "inference.tasks.sum_up_samples"),
    "canary": every(15, "config.worker_heartbeat.record_heartbeat"),
    "default-canary": every(60, "config.worker_heartbeat.record_heartbeat_of_default_queue"),
    "end-dead-runs": every(10, "agents.tasks.end_dead_runs"),
    "expire-queued-runs": every(5, "agents.tasks.expire_queued_runs"),
    "expire-silent-nodes": every(5, "agents.tasks.expire_silent_nodes"),
    "start-due-schedules": every(5, "agents.tasks.start_due_schedules"),
    "deliver-messages": every(2, "agents.tasks.deliver_messages"),
    "expire-approvals": every(60, "agents.tasks.expire_approvals"),
    "adopt-tasks": every(60, "agents.tasks.adopt_tasks"),
    "send-task-callbacks": every(5, "agents.tasks.send_task_callbacks"),
    "send-push-notifications": every(5, "agents.tasks.send_push_notifications"),
    "bill-orphans": every(10, "tenants.tasks.bill_orphans"),
    "deliver-notices": every(10, "tenants.tasks.deliver_notices"),
    "reset-due-quotas": every(60, "tenants.tasks.reset_due_quotas"),
    "send-quota-alerts": every(60, "tenants.tasks.send_quota_alerts"),
    "reconcile": every(300, "tenants.tasks.reconcile"),
    "judge-rollouts": every(60, "agents.tasks.judge_rollouts"),
    "expire-keys": every(300, "tenants.tasks.expire_keys"),
    "erase-what-expired": every(3600, "agents.tasks.erase_what_expired"),
    "finish-erasures": every(15, "agents.tasks.finish_erasures"),
}
