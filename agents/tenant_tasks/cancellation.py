"""Cancels tasks for operators and admins of tenants."""

from django.db import transaction

from agents.models import Task
from agents.runs.cancellation import cancel_run
from kernel.audit import note_use
from tenants.scoping import tenant_scope


@transaction.atomic
def cancel_task(*, task: Task) -> bool:
    """Request the cancellation of a task's run, and record it in the audit log.

    False if the task has ended, or was not accepted yet.
    """
    with tenant_scope(task.tenant_id):
        if task.run is None or not cancel_run(task.tenant_id, task.run.public_id):
            return False
        note_use(task, act="cancel", detail=task.run.public_id)
        return True
