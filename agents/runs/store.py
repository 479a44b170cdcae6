"""Runs in PostgreSQL: begun, claimed, kept alive, ended once, and read.

Synchronous: the gateway calls these on its database threads. Each is told the tenant, and raises
the same NotFound for what is another tenant's as for what was never there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from agents.conversations.history import as_item, find_conversation
from agents.errors import PreviousResponseNotFound, RunIsActive
from agents.models import Conversation, Item, Run
from agents.models.choices import ACTIVE, ItemKind
from agents.models.run_rows import RUNNING, RunQuerySet
from agents.runs.statements import beginning, keeping
from agents.runtime.pausing.checkpoint import load_checkpoint
from agents.schema.items import Item as SaidItem
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
from kernel.storage.database import ask
from tenants.admission.usage.records import Usage
from tenants.models import ApiKey
from tenants.scoping import every_tenant, tenant_scope

LEASE = timedelta(seconds=LEASE_SECONDS)
GRACE = timedelta(seconds=2)
"""A worker that could not renew because PostgreSQL was away does so first of all."""


def begin_run(new: NewRun) -> RunInserted | BusyConversation | DuplicateRun:
    """Put a run into the table, unless its conversation is busy or it is there already.

    Raises NotFound for a conversation or previous response that is not this tenant's. One that
    `stands_alone` may begin with the statement by itself.
    """
    with tenant_scope(new.tenant_id):
        try:
            return begin_in_turn(new)
        except IntegrityError:
            # Its twin came in the same moment, and is there by now.
            return begin_in_turn(new)


@transaction.atomic
def begin_in_turn(new: NewRun) -> RunInserted | BusyConversation | DuplicateRun:
    place = find_conversation(new.conversation, lock=True) if new.conversation else None
    twin = find_twin(new, place) if new.client_id else None
    if twin is not None:
        return DuplicateRun(run_id=twin.public_id, fingerprint=twin.request.get("fingerprint", ""))
    if place is not None and not new.waits:
        active = Run.objects.filter(conversation=place, state__in=ACTIVE).order_by("pk")
        ids = list(active.values_list("public_id", "state"))
        if ids:
            running = next((run for run, state in ids if state in RUNNING), ids[0][0])
            return BusyConversation(run_id=running, waiting=len(ids))
    previous = find_stored(new.previous) if new.previous else None
    if place is not None:
        note_beginning(place, new)
    statement = beginning(
        new,
        conversation_pk=place.pk if place else None,
        previous_pk=previous.pk if previous else None,
    )
    ((pk,),) = ask(statement)
    return RunInserted(pk=pk)


def note_beginning(place: Conversation, new: NewRun) -> None:
    """The first agent that answers in a conversation is the one that it stays with."""
    if new.agent and place.revision is None and place.agent in ("", new.agent):
        rows = Conversation.objects.filter(pk=place.pk)
        rows.update(agent=new.agent, revision=new.agent_revision)


def find_twin(new: NewRun, place: Conversation | None) -> Run | None:
    runs = Run.objects.filter(client_id=new.client_id, conversation=place)
    if place is None:
        # A client that repeats itself after its key was rotated joins its run all the same.
        keys = ApiKey.objects.of_lineage(new.api_key_id or 0).values("pk")
        runs = runs.filter(api_key_id__in=keys)
    return runs.first()


def claim_run(run_id: str, worker: str) -> bool:
    """Begin a queued run. False while others of its conversation come first."""
    with every_tenant():  # by its id, which this worker gave it
        return Run.objects.claim(public_id=run_id, worker=worker, lease=LEASE)


def renew_runs(worker: str, run_ids: Sequence[str]) -> Mapping[str, str]:
    """Keep a worker's runs alive. Answers those that still are, and why they are to be cancelled.

    An empty reason means that they may go on.
    """
    with every_tenant():  # a worker runs for all of them
        Run.objects.renew(worker=worker, public_ids=run_ids, lease=LEASE)
        mine = Run.objects.filter(worker=worker, public_id__in=run_ids, state__in=ACTIVE)
        rows = mine.values_list("public_id", "cancel_requested_at", "incomplete_reason")
        return {run: (why or "cancelled") if asked else "" for run, asked, why in rows}


def save_partial_items(run_id: str) -> None:
    """Of a run that ended while it waited for a person: what it had come to."""
    run = find_run(run_id)
    paused = load_checkpoint(run.checkpoint)
    Run.objects.filter(pk=run.pk).update(checkpoint="")
    if paused is not None and run.incomplete_reason != ROLLBACK:
        statement = keeping(
            run.tenant_id,
            run_id,
            conversation=run.conversation.public_id if run.conversation else None,
            items=paused.kept_items(note=UNDECIDED),
        )
        ask(statement)


def discard_run(tenant_id: int, run_id: str) -> None:
    """Take back a run that was refused before it began."""
    with tenant_scope(tenant_id):
        Run.objects.filter(public_id=run_id).delete()


@transaction.atomic
def ask_cancel(tenant_id: int, run_id: str, why: str) -> RunRecord:
    """Note that a run is to be cancelled; one that waits for a person is cancelled at once."""
    with tenant_scope(tenant_id):
        find_run(run_id)
        Run.objects.ask_cancel(public_id=run_id, why=why)
        if Run.objects.cancel_waiting(public_id=run_id):
            save_partial_items(run_id)
        return known_run(find_run(run_id))


def load_run(tenant_id: int, run_id: str) -> RunRecord:
    """A run, with its output if it has ended. Raises NotFound."""
    with tenant_scope(tenant_id):
        return known_run(find_run(run_id))


def load_ended(run_id: str) -> RunRecord | None:
    """A run that has ended; None while it goes on, or when it is gone."""
    with every_tenant():  # by an id that the reader was allowed to follow
        rows = Run.objects.select_related("conversation", "previous")
        run = rows.filter(public_id=run_id).exclude(state__in=ACTIVE).first()
        return None if run is None else known_run(run)


def find_run(run_id: str) -> Run:
    """Within a tenant scope. Raises NotFound."""
    rows = Run.objects.select_related("conversation", "previous")
    found: Run | None = rows.filter(public_id=run_id).first()
    if found is None:
        raise NotFound("There is no such response here.", param="response_id")
    return found


def find_stored(run_id: str) -> Run:
    """A run that another one may follow. Raises NotFound."""
    found: Run | None = Run.objects.filter(public_id=run_id, store=True).first()
    if found is None:
        raise PreviousResponseNotFound(param="previous_response_id")
    return found


def known_run(run: Run) -> RunRecord:
    is_over = run.state not in ACTIVE
    rows = Item.objects.filter(run=run, is_input=False).order_by("position") if is_over else ()
    # One that waits, or whose worker died, has come to what its checkpoint says.
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


def load_items(tenant_id: int, item_ids: Sequence[str]) -> Mapping[str, SaidItem]:
    """Those of the items that are this tenant's, by id."""
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
    """The items that a client brought. Raises NotFound, and InvalidParameter for `after`."""
    with tenant_scope(tenant_id):
        run = find_run(run_id)
        if not run.store:
            raise NotFound("There is no such response here.", param="response_id")
        rows = Item.objects.filter(run=run, is_input=True)
        if after is not None:
            last = rows.filter(public_id=after).first()
            if last is None:
                raise InvalidParameter("`after` is no item of this response.", param="after")
            beyond: Any = {"position__lt" if newest_first else "position__gt": last.position}
            rows = rows.filter(**beyond)
        found = list(rows.order_by("-position" if newest_first else "position")[: limit + 1])
        return InputPage(items=tuple(map(as_item, found[:limit])), has_more=len(found) > limit)


@transaction.atomic
def delete_run(tenant_id: int, run_id: str) -> None:
    """Forget a run that has ended. What it said in a conversation stays there.

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


def begun_with(
    tenant_id: int, *, conversation: str | None, previous_response: str | None
) -> tuple[str, int | None] | None:
    """The agent and revision that a conversation was begun with, or that gave a response."""
    with tenant_scope(tenant_id):
        if conversation is not None:
            talks = Conversation.objects.filter(public_id=conversation)
            return talks.values_list("agent", "revision").first()
        runs = Run.objects.filter(public_id=previous_response, store=True)
        found: tuple[str, int | None] | None = runs.values_list("agent", "agent_revision").first()
        return found


def begun_since(tenant_id: int, conversation: str, run_id: str | None) -> Sequence[str]:
    """The runs of a conversation that began after `run_id`, in order; for None all.

    Raises NotFound.
    """
    with tenant_scope(tenant_id):
        runs = begun_runs(conversation)
        if run_id is not None:
            last = runs.filter(public_id=run_id).first()
            if last is None:
                raise NotFound("There is no such response here.", param="response_id")
            runs = runs.filter(
                Q(started_at__gt=last.started_at) | Q(started_at=last.started_at, pk__gt=last.pk)
            )
        return list(runs.order_by("started_at", "pk").values_list("public_id", flat=True))


def last_begun(tenant_id: int, conversation: str) -> tuple[str | None, bool]:
    """The run of a conversation that began last, and whether it goes on. Raises NotFound."""
    with tenant_scope(tenant_id):
        last = begun_runs(conversation).order_by("-started_at", "-pk").first()
        return (None, False) if last is None else (last.public_id, last.state in RUNNING)


def begun_runs(conversation: str) -> RunQuerySet:
    place = find_conversation(conversation)
    return Run.objects.filter(conversation=place).exclude(started_at=None)


def fail_dead_runs(*, now: datetime) -> list[RunRecord]:
    """End the runs whose worker died. Answers those that this call ended."""
    with every_tenant():  # a job of the operator's
        moment = now - GRACE
        dead = list(Run.objects.dead_at(moment).values_list("public_id", flat=True))
        buried = [
            run
            for run in dead
            if Run.objects.bury(public_id=run, error=dict(WORKER_DIED), moment=moment)
        ]
        rows = Run.objects.filter(public_id__in=buried)
        return [known_run(run) for run in rows.select_related("conversation", "previous")]
