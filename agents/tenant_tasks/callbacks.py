"""Notices about the ends of tasks, for the webhooks that clients named as callbacks."""

from datetime import datetime

from django.db import transaction

from agents.models import Run, Task
from agents.models.choices import TERMINAL
from agents.schema.routing.tasks import task_state
from tenants.models import AlertRecipient
from tenants.notifications.delivery import create_notices
from tenants.scoping import every_tenant, tenant_scope

MAX_CALLBACKS_PER_READ = 500


def create_callbacks(*, now: datetime) -> int:
    """Create the notices of tasks that have ended. Returns how many tasks have.

    `tenants.notifications` delivers them. Each task is noted in the transaction of its notice, so
    that it has one notice, though this may run twice at a time.
    """
    with every_tenant():  # a periodic task for all tenants
        due = Task.objects.filter(callback_noticed_at=None, run__state__in=TERMINAL)
        rows = due.exclude(callback_url="").order_by("pk")
        found = list(rows.values_list("tenant_id", "pk")[:MAX_CALLBACKS_PER_READ])
    return sum(create_callback(tenant_id, pk, now=now) for tenant_id, pk in found)


@transaction.atomic
def create_callback(tenant_id: int, pk: int, *, now: datetime) -> bool:
    """Create the notice of one task. False if another process has."""
    with tenant_scope(tenant_id):
        if not Task.objects.filter(pk=pk, callback_noticed_at=None).update(callback_noticed_at=now):
            return False
        task = Task.objects.select_related("run").get(pk=pk)
        run = task.run
        assert run is not None, "the query joins the run"
        webhooks = AlertRecipient.objects.filter(
            kind=AlertRecipient.Kind.WEBHOOK, enabled=True, address=task.callback_url
        )
        # None is left if the operator has removed the webhook since.
        create_notices(
            f"task.{task_state(run.state, run.incomplete_reason)}",
            events=[facts_of(task, run)],
            recipients=webhooks[:1],
            tenant_id=tenant_id,
            now=now,
        )
    return True


def facts_of(task: Task, run: Run) -> dict[str, object]:
    """Return the data of the notice. It has no texts of the task: the outbox is not erased."""
    return {
        "task_id": task.public_id,
        "state": task_state(run.state, run.incomplete_reason),
        "agent": task.agent,
        "response_id": run.public_id,
        "metadata": task.metadata,
    }
