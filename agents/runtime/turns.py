"""Whose turn it is: one run of a conversation at a time, and no run twice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from agents.errors import ConversationBusy, IdempotencyMismatch, TooManyRuns
from agents.events.bell import bell_of_conversation
from agents.runtime.machinery import Machinery
from agents.runtime.outcome import Stop
from agents.runtime.resolution import Target
from agents.runtime.run_port import ActiveRun, Started
from agents.runtime.run_rows import Busy, Joined, NewRun
from kernel.errors import Overloaded

MOST_WAITING = 16
"""Runs of one conversation that have not ended."""
LOOK_SECONDS = 1.0
"""After which a waiting run looks by itself: a bell may be missed."""

Cancel = Callable[[str, Stop], Awaitable[None]]
STOPS = {"interrupt": Stop.CANCELLED, "rollback": Stop.ROLLED_BACK}


class Waiting(ActiveRun, Protocol):
    """A run that has not begun."""

    target: Target

    def row(self, *, waits: bool) -> NewRun:
        """As the table gets it."""

    def is_known(self, *, waits: bool) -> None:
        """The table has it, so that it may be told of."""


def needs_turn(run: Waiting, *, behind: ActiveRun | None) -> bool:
    """Whether the table decides before the engine is asked."""
    create = run.create
    follows = create.conversation or create.previous_response or create.client_id
    # Who is told of a run and nothing more must find it in the table.
    return bool(follows) or create.background or behind is not None


async def take_turn(
    run: Waiting, machinery: Machinery, cancel: Cancel, *, behind: ActiveRun | None
) -> bool:
    """Return when the run may begin. False if it is there already and was joined.

    Raises ConversationBusy, TooManyRuns, IdempotencyMismatch, and NotFound for a conversation or
    response that is not this tenant's.
    """
    if not needs_turn(run, behind=behind):
        return True
    waits = behind is not None and not behind.over.is_set()
    answer = await machinery.store.begin(run.row(waits=waits))
    if isinstance(answer, Busy):
        await make_room(run, answer, cancel)
        waits = True
        answer = await machinery.store.begin(run.row(waits=True))
    if isinstance(answer, Joined):
        join(run, answer)
        return False
    run.is_known(waits=waits)
    if waits:
        await wait_for_turn(run, machinery, behind=behind)
    if run.create.conversation:
        await machinery.bell.ring(bell_of_conversation(run.create.conversation))
    return True


def join(run: Waiting, twin: Joined) -> None:
    if twin.fingerprint != run.create.fingerprint:
        raise IdempotencyMismatch(param="client_id")
    run.started.set_result(Started(run_id=twin.run_id, joined=True))


async def make_room(run: Waiting, busy: Busy, cancel: Cancel) -> None:
    """What the agent says is to be done with a message that comes in between."""
    agent = run.target.agent
    policy = (agent.busy_policy if agent else "") or run.create.busy
    if policy == "reject":
        raise ConversationBusy(
            f"The response {busy.run_id} of this conversation is being made. "
            "Join it, or wait for its end.",
            param="conversation",
        )
    if busy.waiting >= MOST_WAITING:
        raise TooManyRuns(retry_after=1)
    if policy in STOPS:
        await cancel(busy.run_id, STOPS[policy])


async def wait_for_turn(run: Waiting, machinery: Machinery, *, behind: ActiveRun | None) -> None:
    if behind is not None:
        await behind.over.wait()
    woken = asyncio.Event()
    place = run.create.conversation or run.id
    with machinery.bell.heard(bell_of_conversation(place), lambda _: woken.set()):
        while not await may_begin(run, machinery):
            # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await woken.wait()
            woken.clear()


async def may_begin(run: Waiting, machinery: Machinery) -> bool:
    try:
        return await machinery.store.claim(run.id, machinery.worker)
    except Overloaded:
        return False  # PostgreSQL is away; the run has waited before
