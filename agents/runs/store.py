"""Runs in PostgreSQL: inserted, claimed, renewed, ended once, and read.

Synchronous: the gateway calls these on its database threads. A function with a `tenant_id` raises
NotFound for a row of another tenant, as for one that does not exist.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from agents.conversations.history import as_item, find_conversation
from agents.errors import PreviousResponseNotFound, QueueFull, RunIsActive
from agents.models import Conversation, Item, Run
from agents.models.choices import ACTIVE, ItemKind
from agents.models.run_rows import RUNNING, RunQuerySet
from agents.runs.statements import insert_statement, save_items_statement
from agents.schema.checkpoint import load_checkpoint
from agents.schema.items import Item as ItemValue
from agents.schema.run_records import (
    LEASE_SECONDS,
    ROLLBACK,
    UNDECIDED,
    WORKER_DIED,
    BusyConversation,
    DuplicateRun,
    InputPage,
    NewRun,
    RunInserted,
    RunRecord,
)
from kernel.errors import InvalidParameter, NotFound
from kernel.storage.database import Rows, execute
from tenants.admission.usage.records import Usage
from tenants.models import ApiKey
from tenants.scoping import every_tenant, tenant_scope

LEASE = timedelta(seconds=LEASE_SECONDS)
LEASE_GRACE = timedelta(seconds=2)
"""Added to a lease, so that workers can renew theirs first after an outage of PostgreSQL."""
QUEUE_RETRY_SECONDS = 5


def insert_run(new: NewRun) -> RunInserted | BusyConversation | DuplicateRun:
    """Insert a run, unless its conversation is busy or its `client_id` is used.

    Raises QueueFull, and NotFound for a conversation or previous response that is not this
    tenant's. A run that `is_independent` needs only `duplicate_statement` and `insert_statement`.
    """
    with tenant_scope(new.tenant_id):
        try:
            return insert_locked(new)
        except IntegrityError:
            # A duplicate was inserted at the same time.
            return insert_locked(new)


@transaction.atomic
def insert_locked(new: NewRun) -> RunInserted | BusyConversation | DuplicateRun:
    place = find_conversation(new.conversation, lock=True) if new.conversation else None
    duplicate = find_duplicate(new, place) if new.client_id else None
    if duplicate is not None:
        return DuplicateRun(
            run_id=duplicate.public_id, fingerprint=duplicate.request.get("fingerprint", "")
        )
    if place is not None and not new.waits:
        active = Run.objects.filter(conversation=place, state__in=ACTIVE).order_by("pk")
        ids = list(active.values_list("public_id", "state"))
        if ids:
            running = next((run for run, state in ids if state in RUNNING), ids[0][0])
            return BusyConversation(run_id=running, waiting=len(ids))
    previous = find_stored(new.previous) if new.previous else None
    if place is not None:
        set_initial_agent(place, new)
    statement = insert_statement(
        new,
        conversation_pk=place.pk if place else None,
        previous_pk=previous.pk if previous else None,
    )
    return inserted(execute(statement))


def inserted(rows: Rows) -> RunInserted:
    """Return the result of `insert_statement`. Raises QueueFull."""
    if not rows:
        raise QueueFull(retry_after=QUEUE_RETRY_SECONDS)
    ((pk, *linked),) = rows
    return RunInserted(pk=pk, is_linked=any(linked))


def set_initial_agent(place: Conversation, new: NewRun) -> None:
    """Record the first agent of a conversation, and its revision."""
    if new.agent and place.revision is None and place.agent in ("", new.agent):
        rows = Conversation.objects.filter(pk=place.pk)
        rows.update(agent=new.agent, revision=new.agent_revision)


def find_duplicate(new: NewRun, place: Conversation | None) -> Run | None:
    runs = Run.objects.filter(client_id=new.client_id, conversation=place)
    if place is None:
        # A client that repeats a request after a rotation of its key joins the same run.
        keys = ApiKey.objects.of_lineage(new.api_key_id or 0).values("pk")
        runs = runs.filter(api_key_id__in=keys)
    return runs.first()


def claim_run(run_id: str, worker: str) -> bool:
    """Start a queued run. False while earlier runs of its conversation have not ended."""
    with every_tenant():  # by its id, which this worker gave it
        return Run.objects.claim(public_id=run_id, worker=worker, lease=LEASE)


def renew_runs(worker: str, run_ids: Sequence[str]) -> Mapping[str, str]:
    """Renew the leases of a worker's runs. Returns the runs that it still holds, each with the
    reason of a requested cancellation, which is empty if none was requested.
    """
    with every_tenant():  # a worker executes runs of all tenants
        Run.objects.renew(worker=worker, public_ids=run_ids, lease=LEASE)
        mine = Run.objects.filter(worker=worker, public_id__in=run_ids, state__in=ACTIVE)
        rows = mine.values_list("public_id", "cancel_requested_at", "incomplete_reason")
        return {
            run: (why or "cancelled") if requested_at else "" for run, requested_at, why in rows
        }


def save_partial_items(run_id: str) -> None:
    """Store the items of a run that ended while it was paused."""
    run = find_run(run_id)
    paused = load_checkpoint(run.checkpoint)
    Run.objects.filter(pk=run.pk).update(checkpoint="")
    if paused is not None and run.incomplete_reason != ROLLBACK:
        statement = save_items_statement(
            run.tenant_id,
            run_id,
            conversation=run.conversation.public_id if run.conversation else None,
            items=paused.items_to_store(note=UNDECIDED),
        )
        execute(statement)


def discard_run(tenant_id: int, run_id: str) -> None:
    """Delete a run that was refused before it started."""
    with tenant_scope(tenant_id):
        Run.objects.filter(public_id=run_id).delete()


@transaction.atomic
def request_cancel(tenant_id: int, run_id: str, why: str) -> RunRecord:
    """Request the cancellation of a run; a paused run is cancelled at once."""
    with tenant_scope(tenant_id):
        find_run(run_id)
        Run.objects.request_cancel(public_id=run_id, why=why)
        if Run.objects.cancel_waiting(public_id=run_id):
            save_partial_items(run_id)
        return run_record_of(find_run(run_id))


def load_run(tenant_id: int, run_id: str) -> RunRecord:
    """Return a run, with its output if it has ended. Raises NotFound."""
    with tenant_scope(tenant_id):
        return run_record_of(find_run(run_id))


def load_ended(run_id: str) -> RunRecord | None:
    """Return a run that has ended; None while it is active, or if it was deleted."""
    with every_tenant():  # by an id that the reader was allowed to follow
        rows = Run.objects.select_related("conversation", "previous")
        run = rows.filter(public_id=run_id).exclude(state__in=ACTIVE).first()
        return None if run is None else run_record_of(run)


def find_run(run_id: str) -> Run:
    """Return a run. Raises NotFound. Needs a tenant scope."""
    rows = Run.objects.select_related("conversation", "previous")
    found: Run | None = rows.filter(public_id=run_id).first()
    if found is None:
        raise NotFound("There is no such response here.", param="response_id")
    return found


def find_stored(run_id: str) -> Run:
    """Return a stored run, which another run may follow. Raises NotFound."""
    found: Run | None = Run.objects.filter(public_id=run_id, store=True).first()
    if found is None:
        raise PreviousResponseNotFound(param="previous_response_id")
    return found


def run_record_of(run: Run) -> RunRecord:
    is_over = run.state not in ACTIVE
    rows = Item.objects.filter(run=run, is_input=False).order_by("position") if is_over else ()
    # The items of a paused run, and of one whose worker died, are in its checkpoint.
    left = load_checkpoint(run.checkpoint)
    return RunRecord(
        id=run.public_id,
        tenant_id=run.tenant_id,
        state=run.state,
        worker=run.worker,
        request=run.request,
        store=run.store,
        background=run.background,
        created_at=int(run.created_at.timestamp()),
        ended_at=int(run.ended_at.timestamp()) if run.ended_at else None,
        conversation=run.conversation.public_id if run.conversation else None,
        previous=run.previous.public_id if run.previous else None,
        error=run.error,
        reason=run.incomplete_reason,
        usage=usage_of(run),
        output=tuple(as_item(row) for row in rows) or (left.items if left else ()),
    )


def load_items(tenant_id: int, item_ids: Sequence[str]) -> Mapping[str, ItemValue]:
    """Return the tenant's items among `item_ids`, by id."""
    with tenant_scope(tenant_id):
        rows = Item.objects.filter(public_id__in=item_ids).exclude(kind=ItemKind.SUMMARY)
        return {row.public_id: as_item(row) for row in rows}


def usage_of(run: Run) -> Usage:
    return Usage(
        prompt_tokens=run.prompt_tokens,
        cached_tokens=run.cached_tokens,
        completion_tokens=run.completion_tokens,
        reasoning_tokens=run.reasoning_tokens,
    )


def load_input(
    tenant_id: int, run_id: str, *, after: str | None, limit: int, newest_first: bool
) -> InputPage:
    """Return a page of a run's input items. Raises NotFound, and InvalidParameter for `after`."""
    with tenant_scope(tenant_id):
        run = find_run(run_id)
        if not run.store:
            raise NotFound("There is no such response here.", param="response_id")
        rows = Item.objects.filter(run=run, is_input=True)
        if after is not None:
            last = rows.filter(public_id=after).first()
            if last is None:
                raise InvalidParameter("`after` is not an item of this response.", param="after")
            beyond: Any = {"position__lt" if newest_first else "position__gt": last.position}
            rows = rows.filter(**beyond)
        found = list(rows.order_by("-position" if newest_first else "position")[: limit + 1])
        return InputPage(items=tuple(map(as_item, found[:limit])), has_more=len(found) > limit)


@transaction.atomic
def delete_run(tenant_id: int, run_id: str) -> None:
    """Delete a run that has ended. Its items in a conversation remain.

    Raises NotFound, and RunIsActive.
    """
    with tenant_scope(tenant_id):
        run = find_run(run_id)
        if not run.store:
            raise NotFound("There is no such response here.", param="response_id")
        if run.state in ACTIVE:
            raise RunIsActive
        Item.objects.filter(run=run).exclude(conversation=None).update(run=None)
        run.delete()


def initial_revision(
    tenant_id: int, *, conversation: str | None, previous_response: str | None
) -> tuple[str, int | None] | None:
    """Return the agent and revision that a conversation started with, or that made a response."""
    with tenant_scope(tenant_id):
        if conversation is not None:
            talks = Conversation.objects.filter(public_id=conversation)
            return talks.values_list("agent", "revision").first()
        runs = Run.objects.filter(public_id=previous_response, store=True)
        found: tuple[str, int | None] | None = runs.values_list("agent", "agent_revision").first()
        return found


def runs_started_since(tenant_id: int, conversation: str, run_id: str | None) -> Sequence[str]:
    """Return the runs of a conversation that started after `run_id`, in order; for None all.

    Raises NotFound.
    """
    with tenant_scope(tenant_id):
        runs = started_runs(conversation)
        if run_id is not None:
            last = runs.filter(public_id=run_id).first()
            if last is None:
                raise NotFound("There is no such response here.", param="response_id")
            runs = runs.filter(
                Q(started_at__gt=last.started_at) | Q(started_at=last.started_at, pk__gt=last.pk)
            )
        return list(runs.order_by("started_at", "pk").values_list("public_id", flat=True))


def last_started_run(tenant_id: int, conversation: str) -> tuple[str | None, bool]:
    """Return the newest run of a conversation that has started, and whether it is running.

    Raises NotFound.
    """
    with tenant_scope(tenant_id):
        last = started_runs(conversation).order_by("-started_at", "-pk").first()
        return (None, False) if last is None else (last.public_id, last.state in RUNNING)


def started_runs(conversation: str) -> RunQuerySet:
    place = find_conversation(conversation)
    return Run.objects.filter(conversation=place).exclude(started_at=None)


def fail_dead_runs(*, now: datetime) -> list[RunRecord]:
    """End the runs whose worker died. Returns those that this call ended."""
    with every_tenant():  # a periodic task for all tenants
        return fail_runs(Run.objects.all(), now=now)


def fail_runs(rows: RunQuerySet, *, now: datetime) -> list[RunRecord]:
    """End those of `rows` whose worker died. Needs a tenant scope."""
    moment = now - LEASE_GRACE
    dead = list(rows.expired_at(moment).values_list("public_id", flat=True))
    failed = [
        run
        for run in dead
        if Run.objects.fail_expired(public_id=run, error=dict(WORKER_DIED), moment=moment)
    ]
    ended = Run.objects.filter(public_id__in=failed).select_related("conversation", "previous")
    return [run_record_of(run) for run in ended]
