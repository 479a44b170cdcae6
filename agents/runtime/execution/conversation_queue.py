"""The queue of a conversation: one run at a time, and no run twice."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from agents.errors import ConversationBusy, IdempotencyMismatch, TooManyRuns
from agents.events.pubsub import WorkerPubSub, conversation_channel
from agents.runtime.execution.outcome import StopCause
from agents.runtime.execution.run_context import RunContext
from agents.schema.run_records import (
    BusyConversation,
    DuplicateRun,
    QueueEntry,
    RunInserted,
)
from agents.schema.run_request import RunRequest
from kernel.errors import Overloaded

MAX_ACTIVE_RUNS_PER_CONVERSATION = 16
POLL_SECONDS = 1.0
"""A queued run polls this often, since a message between workers may be lost."""

Cancel = Callable[[str, StopCause], Awaitable[None]]
STOPS = {"interrupt": StopCause.CANCELLED, "rollback": StopCause.ROLLED_BACK}


def needs_queue(request: RunRequest) -> bool:
    """Return whether the row must be inserted before the model is called.

    A client that gets nothing but the id of a run must find the run in the table.
    """
    follows = request.conversation or request.previous_response or request.client_id
    return bool(follows) or request.background


async def enqueue(
    run: RunContext, cancel: Cancel, *, waits: bool = False, queue: QueueEntry | None = None
) -> tuple[RunInserted | DuplicateRun, bool]:
    """Insert the row of a run. Returns also whether the run must wait until it is claimed.

    `queue`: the run goes to the run queue. Raises ConversationBusy, TooManyRuns, QueueFull, and
    NotFound for a conversation or response that is not this tenant's.
    """
    result = await run.store.insert(run.as_new(waits=waits, queue=queue))
    if isinstance(result, BusyConversation):
        await apply_busy_policy(run, result, cancel)
        waits = True
        result = await run.store.insert(run.as_new(waits=True, queue=queue))
    assert not isinstance(result, BusyConversation), "a run that waits is always inserted"
    return result, waits


async def apply_busy_policy(run: RunContext, busy: BusyConversation, cancel: Cancel) -> None:
    """Apply the busy policy of the agent, else of the request, to a busy conversation."""
    agent = run.target.agent
    policy = (agent.busy_policy if agent else "") or run.request.busy
    if policy == "reject":
        raise ConversationBusy(
            f"The response {busy.run_id} of this conversation is in progress. "
            "Join it, or wait for its end.",
            param="conversation",
        )
    if busy.waiting >= MAX_ACTIVE_RUNS_PER_CONVERSATION:
        raise TooManyRuns(retry_after=1)
    if policy in STOPS:
        await cancel(busy.run_id, STOPS[policy])


def ensure_same_request(request: RunRequest, duplicate: DuplicateRun) -> None:
    """Raises IdempotencyMismatch if the client used its id for another request before."""
    if duplicate.fingerprint != request.fingerprint:
        raise IdempotencyMismatch(param="client_id")


async def wait_until_claimed(run: RunContext, pubsub: WorkerPubSub) -> None:
    """Claim the run once no other run of its conversation comes before it."""
    woken = asyncio.Event()
    place = run.request.conversation or run.id
    with pubsub.subscribed(conversation_channel(place), lambda _: woken.set()):
        while not await try_claim(run):
            # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await woken.wait()
            woken.clear()


async def try_claim(run: RunContext) -> bool:
    """Claim a queued run. False also while PostgreSQL is unavailable, since the caller retries."""
    try:
        return await run.store.claim(run.id, run.worker)
    except Overloaded:
        return False
