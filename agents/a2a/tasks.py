"""Tasks of the A2A protocol, read from the table of runs.

Synchronous: the gateway calls these on its database threads. A function with a `tenant_id` raises
NotFound for a row of another tenant, as for one that does not exist.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.db.models.functions import Coalesce
from msgspec.structs import replace

from agents.conversations.history import as_item
from agents.models import Approval, Item, Run
from agents.models.choices import ApprovalState, RunState
from agents.models.run_rows import RunQuerySet
from agents.runs.store import run_record_of
from agents.schema.a2a.tasks import DOOR, MAX_COUNTED_TASKS, A2aTask, TaskPage, TaskQuery
from agents.schema.checkpoint import load_checkpoint
from agents.schema.items import Item as ItemValue
from kernel.errors import NotFound
from tenants.models import Tenant
from tenants.scoping import tenant_scope

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def find_tenant(slug: str) -> int | None:
    """Return the id of an active tenant, or None."""
    rows = Tenant.objects.filter(slug=slug, status=Tenant.Status.ACTIVE)
    found: int | None = rows.values_list("pk", flat=True).first()
    return found


def load_task(tenant_id: int, *, agent: str, task: str) -> A2aTask:
    """Return a task with its input and output. Raises NotFound."""
    with tenant_scope(tenant_id):
        run = find_task(agent=agent, task=task)
        inputs = Item.objects.filter(run=run, is_input=True).order_by("position")
        shown = task_of(run, tuple(map(as_item, inputs)))
        if run.state != RunState.REQUIRES_APPROVAL:
            return shown
        waiting = Approval.objects.filter(run=run, state=ApprovalState.PENDING).order_by("pk")
        return replace(shown, pending=dict(waiting.values_list("public_id", "tool")))


def find_task(*, agent: str, task: str) -> Run:
    """Return the run of a task. Raises NotFound. Needs a tenant scope."""
    found: Run | None = tasks_of(agent).filter(public_id=task).first()
    if found is None:
        raise NotFound("There is no such task here.", param="task_id")
    return found


def tasks_of(agent: str) -> RunQuerySet:
    """Return the runs of an agent's tasks, with the time of the last transition as `changed_at`."""
    rows = Run.objects.filter(door=DOOR, agent=agent, store=True)
    joined: RunQuerySet = rows.select_related("conversation", "previous")
    moment = Coalesce("ended_at", "started_at", "created_at")
    found: RunQuerySet = joined.annotate(changed_at=moment)
    return found


def list_tasks(tenant_id: int, query: TaskQuery) -> TaskPage:
    """Return a page of tasks, the last changed first."""
    with tenant_scope(tenant_id):
        matching = filtered(tasks_of(query.agent), query)
        total = matching.order_by()[:MAX_COUNTED_TASKS].count()
        rows = matching
        if query.before is not None:
            rows = rows.filter(is_before(*query.before))
        found = list(rows.order_by("-changed_at", "-pk")[: query.limit + 1])
        page = found[: query.limit]
        inputs = inputs_of(page)
        last = page[-1] if len(found) > len(page) and page else None
        return TaskPage(
            tasks=tuple(task_of(run, inputs.get(run.pk, ())) for run in page),
            next_before=(microseconds(last), last.public_id) if last else None,
            total=total,
        )


def filtered(rows: RunQuerySet, query: TaskQuery) -> RunQuerySet:
    if query.context_id:
        rows = rows.filter(conversation__public_id=query.context_id)
    if query.states:
        rows = rows.filter(state__in=query.states)
    if query.changed_after is not None:
        rows = rows.filter(changed_at__gte=EPOCH + timedelta(seconds=query.changed_after))
    return rows


def is_before(changed_microseconds: int, task: str) -> Q:
    """Return the condition of the rows after the task that a page ended with.

    The task may have been deleted: then rows of the same microsecond are left out.
    """
    moment = EPOCH + changed_microseconds * MICROSECOND
    last = Run.objects.filter(public_id=task).values_list("pk", flat=True).first()
    earlier = Q(changed_at__lt=moment)
    return earlier if last is None else earlier | Q(changed_at=moment, pk__lt=last)


def microseconds(run: Run) -> int:
    """Return the annotated `changed_at` in microseconds since 1970."""
    changed_at: datetime = run.changed_at  # type: ignore[attr-defined]  # an annotation
    return (changed_at - EPOCH) // MICROSECOND


def inputs_of(runs: Iterable[Run]) -> Mapping[int, tuple[ItemValue, ...]]:
    """Return the input items by run, with one query."""
    found: defaultdict[int, list[ItemValue]] = defaultdict(list)
    rows = Item.objects.filter(run__in=list(runs), is_input=True).order_by("position")
    for row in rows:
        assert row.run_id is not None, "the query asks for items of runs"
        found[row.run_id].append(as_item(row))
    return {pk: tuple(items) for pk, items in found.items()}


def task_of(run: Run, inputs: tuple[ItemValue, ...]) -> A2aTask:
    """Return a task. The input of an active run is in its checkpoint, if it has one."""
    left = load_checkpoint(run.checkpoint)
    return A2aTask(
        run=run_record_of(run),
        changed_at=microseconds(run) / 1_000_000,
        input=inputs or (left.run_request.input if left else ()),
        last_event=left.last_event if left else -1,
    )
