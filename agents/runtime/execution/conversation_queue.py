"""The queue of a conversation: one run at a time, and no run twice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from agents.errors import ConversationBusy, IdempotencyMismatch, TooManyRuns
from agents.events.pubsub import conversation_channel
from agents.runtime.catalog.model_resolution import Target
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.outcome import Stop
from agents.runtime.execution.ports import ActiveRun, Started
from agents.schema.run_records import BusyConversation, DuplicateRun, NewRun
from kernel.errors import Overloaded

MAX_WAITING_RUNS = 16
"""Runs of one conversation that have not ended."""
LOOK_SECONDS = 1.0
"""A waiting run polls this often: a message between workers may be lost."""

Cancel = Callable[[str, Stop], Awaitable[None]]
STOPS = {"interrupt": Stop.CANCELLED, "rollback": Stop.ROLLED_BACK}


class QueuedRun(ActiveRun, Protocol):
    """A run that has not begun."""

    target: Target

    def row(self, *, waits: bool) -> NewRun:
        """As the table gets it."""

    def is_known(self, *, waits: bool) -> None:
        """The table has it, so that it may be told of."""


def needs_queue(run: QueuedRun, *, behind: ActiveRun | None) -> bool:
    """Whether the table decides before the engine is asked."""
    create = run.create
    follows = create.conversation or create.previous_response or create.client_id
    # Who is told of a run and nothing more must find it in the table.
    return bool(follows) or create.background or behind is not None


async def acquire(
    run: QueuedRun, dependencies: RunDependencies, cancel: Cancel, *, behind: ActiveRun | None
) -> bool:
    """Return when the run may begin. False if it is there already and was joined.

    Raises ConversationBusy, TooManyRuns, IdempotencyMismatch, and NotFound for a conversation or
    response that is not this tenant's.
    """
    if not needs_queue(run, behind=behind):
        return True
    waits = behind is not None and not behind.over.is_set()
    answer = await dependencies.store.begin(run.row(waits=waits))
    if isinstance(answer, BusyConversation):
        await apply_busy_policy(run, answer, cancel)
        waits = True
        answer = await dependencies.store.begin(run.row(waits=True))
    if isinstance(answer, DuplicateRun):
        join_existing(run, answer)
        return False
    run.is_known(waits=waits)
    if waits:
        await wait_until_claimed(run, dependencies, behind=behind)
    if run.create.conversation:
        await dependencies.pubsub.notify(conversation_channel(run.create.conversation))
    return True


def join_existing(run: QueuedRun, twin: DuplicateRun) -> None:
    if twin.fingerprint != run.create.fingerprint:
        raise IdempotencyMismatch(param="client_id")
    run.started.set_result(Started(run_id=twin.run_id, joined=True))


async def apply_busy_policy(run: QueuedRun, busy: BusyConversation, cancel: Cancel) -> None:
    """What the agent says is to be done with a message that comes in between."""
    agent = run.target.agent
    policy = (agent.busy_policy if agent else "") or run.create.busy
    if policy == "reject":
        raise ConversationBusy(
            f"The response {busy.run_id} of this conversation is being made. "
            "Join it, or wait for its end.",
            param="conversation",
        )
    if busy.waiting >= MAX_WAITING_RUNS:
        raise TooManyRuns(retry_after=1)
    if policy in STOPS:
        await cancel(busy.run_id, STOPS[policy])


async def wait_until_claimed(
    run: QueuedRun, dependencies: RunDependencies, *, behind: ActiveRun | None
) -> None:
    if behind is not None:
        await behind.over.wait()
    woken = asyncio.Event()
    place = run.create.conversation or run.id
    with dependencies.pubsub.heard(conversation_channel(place), lambda _: woken.set()):
        while not await try_claim(run, dependencies):
            # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await woken.wait()
            woken.clear()


async def try_claim(run: QueuedRun, dependencies: RunDependencies) -> bool:
    try:
        return await dependencies.store.claim(run.id, dependencies.worker)
    except Overloaded:
        return False  # PostgreSQL is away; the run has waited before
