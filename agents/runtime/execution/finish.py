"""The end of a run: stored in the table first, then published in the event log."""

import contextlib
import time

import msgspec

from agents.errors import RunNotStored
from agents.events.responses import Frame
from agents.runtime.execution.outcome import RunOutcome, failed
from agents.runtime.execution.run_context import RunContext
from agents.schema.items import StoredItem
from agents.schema.json_types import Json
from agents.schema.run_records import EndedRun
from agents.schema.stored_items import STOPPED, client_view, outputs_for_open_calls
from kernel.errors import Overloaded, PlatformError, UnstorableValue


async def finish(
    run: RunContext,
    outcome: RunOutcome,
    *,
    is_persisted: bool,
    is_stopped: bool,
    tool_calls: int,
    is_cache_hit: bool,
) -> RunOutcome | None:
    """Store and publish the end of a run.

    `is_stopped`: the run was stopped from outside, so that calls may lack their outputs. Returns
    the outcome that was published, which is RunNotStored if a run that was to be stored could not
    be. None, with nothing published, if another worker has ended the run.
    """
    run.recorder.flush()
    frames = last_frames(run, outcome)
    if is_persisted:
        ended = EndedRun(
            id=run.id,
            tenant_id=run.tenant_id,
            worker=run.worker,
            state=outcome.state,
            usage=run.usage.tokens,
            conversation=run.request.conversation,
            error=None if outcome.error is None else stored_error(outcome.error),
            reason=outcome.reason,
            steps=run.usage.model_calls,
            tool_calls=tool_calls,
            cache_hit=is_cache_hit,
            items=items_to_store(run, is_stopped=is_stopped) if run.request.store else (),
        )
        try:
            if not await run.retry_while_unavailable(lambda: run.store.finish(ended)):
                return None
        except (Overloaded, UnstorableValue) as reason:
            if run.request.store:
                error = RunNotStored(retry_after=1)
                outcome, frames = failed(error), with_failure(run, frames, error)
                if isinstance(reason, UnstorableValue):
                    await store_failure(run, ended, error)
    run.recorder.end(frames)
    await run.log.flushed()
    return outcome


async def store_failure(run: RunContext, ended: EndedRun, error: PlatformError) -> None:
    """End the row of a run whose items PostgreSQL refuses, without them."""
    end = msgspec.structs.replace(ended, state="failed", error=stored_error(error), items=())
    with contextlib.suppress(Overloaded):  # then the lease of the run expires
        await run.retry_while_unavailable(lambda: run.store.finish(end))


def last_frames(run: RunContext, outcome: RunOutcome) -> list[Frame]:
    usage, events, now = run.usage.tokens, run.recorder.events, int(time.time())
    if outcome.error is not None:
        return events.failed(outcome.error, now=now)
    if outcome.state == "completed":
        return events.completed(usage, now=now)
    reason = "cancelled" if outcome.state == "cancelled" else outcome.reason
    return events.incomplete(usage, reason=reason, now=now)


def with_failure(run: RunContext, frames: list[Frame], error: PlatformError) -> list[Frame]:
    """`frames` with the failure in place of the last one, under the number of that one."""
    number = frames[-1]["sequence_number"]
    (last,) = run.recorder.events.failed(error, now=int(time.time()))
    return [*frames[:-1], {**last, "sequence_number": number}]


def items_to_store(run: RunContext, *, is_stopped: bool) -> tuple[StoredItem, ...]:
    inputs = (StoredItem(item=item, is_input=True) for item in run.request.input)
    output = run.recorder.events.output()
    # Engines refuse a history with calls that have no output.
    outputs = outputs_for_open_calls(output, note=STOPPED) if is_stopped else ()
    return (*inputs, *(StoredItem(item=item) for item in client_view((*output, *outputs))))


def stored_error(error: PlatformError) -> Json:
    return {"code": error.code, "message": error.message, "param": error.param}
