"""Tasks in PostgreSQL, read with their runs. They are submitted by `statements`.

Synchronous: the gateway calls these on its database threads. A task without a run is not visible:
it was not accepted yet.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db.models import Count, OuterRef, QuerySet, Subquery

from agents.conversations.history import as_item
from agents.conversations.pagination import page_of
from agents.models import Item, Run, Task
from agents.models.choices import ACTIVE
from agents.nodes.selectors import names_of_workers
from agents.runs.store import usage_of
from agents.schema.checkpoint import load_checkpoint
from agents.schema.history import Page, PageRequest
from agents.schema.items import Item as ItemValue
from agents.schema.routing.tasks import TaskRecord
from kernel.errors import InvalidParameter, NotFound
from tenants.models import AlertRecipient
from tenants.scoping import every_tenant, tenant_scope

ACCEPT_TIMEOUT = timedelta(seconds=60)
"""Time after which a task without a run is not being accepted any more."""
MAX_TASKS_PER_READ = 500


def ensure_recipient(tenant_id: int, url: str) -> None:
    """Raises InvalidParameter unless the tenant's operators have registered this webhook."""
    with tenant_scope(tenant_id):
        webhooks = AlertRecipient.objects.filter(kind=AlertRecipient.Kind.WEBHOOK, enabled=True)
        is_known = webhooks.filter(address=url).exists()
    if not is_known:
        raise InvalidParameter(
            "`callback` is the address of a webhook that is an alert recipient of this tenant, "
            "because its secret signs the message. Ask the operator to add it.",
            param="callback",
        )


def discard_task(tenant_id: int, task_id: str) -> None:
    """Delete a task that was refused before it had a run."""
    with tenant_scope(tenant_id):
        Task.objects.filter(public_id=task_id, run=None).delete()


def load_task(tenant_id: int, task_id: str) -> TaskRecord:
    """Return a task with the output of its run. Raises NotFound."""
    with tenant_scope(tenant_id):
        row = find_row(task_id)
        names = names_of_workers([row.run.worker] if row.run and row.run.worker else [])
        assert row.run is not None, "find_row leaves out tasks without a run"
        items = Item.objects.filter(run=row.run, is_input=False).order_by("position")
        output = tuple(map(as_item, items)) if row.run.state not in ACTIVE else ()
        if not output and (left := load_checkpoint(row.run.checkpoint)):
            output = left.items
        return record_of(row, row.run, names=names, output=output)


def find_row(task_id: str) -> Task:
    """Return an accepted task. Raises NotFound. Needs a tenant scope."""
    rows = Task.objects.select_related("run").filter(public_id=task_id)
    row: Task | None = rows.exclude(run=None).first()
    if row is None:
        raise NotFound("There is no such task here.", param="task_id")
    return row


def list_tasks(tenant_id: int, *, paging: PageRequest) -> Page[TaskRecord]:
    """Return a page of tasks without their output. Raises NotFound if `after` is not one."""
    with tenant_scope(tenant_id):
        after = find_row(paging.after).pk if paging.after else None
        accepted: QuerySet[Task] = Task.objects.exclude(run=None)
        rows, has_more = page_of(
            accepted.select_related("run").defer("run__checkpoint"), paging, by="pk", after=after
        )
        names = names_of_workers({row.run.worker for row in rows if row.run and row.run.worker})
        records = [record_of(row, row.run, names=names) for row in rows if row.run]
        return Page(data=tuple(records), has_more=has_more)


def record_of(
    task: Task, run: Run, *, names: Mapping[str, str], output: tuple[ItemValue, ...] | None = None
) -> TaskRecord:
    return TaskRecord(
        id=task.public_id,
        run_id=run.public_id,
        run_state=run.state,
        reason=run.incomplete_reason,
        required_capabilities=tuple(task.required_capabilities),
        input=task.input,
        requested_agent=task.requested_agent,
        agent=task.agent,
        revision=run.agent_revision,
        explanation=task.explanation,
        priority=task.priority,
        deadline=seconds(task.deadline),
        idempotency_key=task.idempotency_key,
        callback_url=task.callback_url,
        metadata=task.metadata,
        node=names.get(run.worker, ""),
        attempts=run.attempt,
        created_at=int(task.created_at.timestamp()),
        started_at=seconds(run.started_at),
        ended_at=seconds(run.ended_at),
        usage=usage_of(run),
        error=run.error,
        output=output,
    )


def seconds(time: datetime | None) -> int | None:
    return None if time is None else int(time.timestamp())


def count_background_runs(tenant_id: int) -> dict[str, int]:
    """Return the number of queued and running background runs of a tenant, by agent."""
    with tenant_scope(tenant_id):
        rows = Run.objects.filter(state__in=ACTIVE, background=True).exclude(agent="")
        return dict(rows.order_by().values_list("agent").annotate(Count("pk")))


def adopt_unlinked(*, now: datetime) -> int:
    """Link tasks with runs that their gateway could not link, and delete tasks without a run.

    Returns how many were linked.
    """
    adopted = 0
    with every_tenant():  # a periodic task for all tenants
        late = Task.objects.filter(run=None, created_at__lt=now - ACCEPT_TIMEOUT)
        own = Run.objects.filter(
            tenant=OuterRef("tenant"),
            api_key_id=OuterRef("api_key_id"),
            client_id=OuterRef("public_id"),
        )
        rows = late.annotate(found=Subquery(own.values("pk")[:1])).order_by("created_at")
        for row in rows[:MAX_TASKS_PER_READ]:
            mine = Task.objects.filter(pk=row.pk, run=None)
            if row.found is None:
                mine.delete()
            else:
                adopted += mine.update(run=row.found)
    return adopted
