"""The Celery application: timed work, on the console's settings."""

import os

from celery import Celery
from celery.schedules import schedule

from config.broker import use_transport
from config.error_exit import exit_on_configuration_error

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.console")

use_transport()
app = Celery("tenantry")
with exit_on_configuration_error():
    app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.autodiscover_tasks(["config"], related_name="worker_heartbeat")

CRITICAL_QUEUE = "critical"
"""Of short work that must begin within seconds. It has a worker of its own, so that it never waits
behind work that walks thousands of tenants."""
DEFAULT_QUEUE = "celery"
CRITICAL_TASKS = (
    "inference.tasks.expire_silent_endpoints",
    "inference.tasks.probe_due_endpoints",
    "inference.tasks.probe_completions",
    "inference.tasks.evaluate_pools",
    "tenants.tasks.bill_orphans",
    "agents.tasks.end_dead_runs",
    "config.worker_heartbeat.record_heartbeat",
)
# A worker that is started without `-Q` serves both.
app.conf.task_queues = {
    name: {"exchange": name, "binding_key": name} for name in (DEFAULT_QUEUE, CRITICAL_QUEUE)
}
app.conf.task_default_queue = DEFAULT_QUEUE
app.conf.task_routes = {name: {"queue": CRITICAL_QUEUE} for name in CRITICAL_TASKS}


def every(seconds: float, task: str) -> dict[str, object]:
    """A job that looks for what is due. One that nobody took in time is pointless: the next one
    sees the same rows.
    """
    return {"task": task, "schedule": schedule(seconds), "options": {"expires": seconds}}


app.conf.beat_schedule = {
    "expire-silent-endpoints": every(5, "inference.tasks.expire_silent_endpoints"),
    "probe-due-endpoints": every(1, "inference.tasks.probe_due_endpoints"),
    "probe-completions": every(5, "inference.tasks.probe_completions"),
    # More often than pools are looked at: a run that comes a moment before its quarter of a
    # minute begins must not leave it out.
    "evaluate-pools": every(5, "inference.tasks.evaluate_pools"),
    "sum-up-samples": every(300, "inference.tasks.sum_up_samples"),
    "canary": every(15, "config.worker_heartbeat.record_heartbeat"),
    "default-canary": every(60, "config.worker_heartbeat.record_heartbeat_of_default_queue"),
    "end-dead-runs": every(10, "agents.tasks.end_dead_runs"),
    "expire-approvals": every(60, "agents.tasks.expire_approvals"),
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
