"""Pauses a run that waits for approvals: published in its log first, then held by no worker."""

from collections.abc import Callable

from agents.runtime.execution.outcome import StopCause, stop_named
from agents.runtime.execution.run_context import RunContext
from agents.runtime.loop.ports import LoopResult, RunProgress
from agents.schema.items import Item
from agents.schema.run_records import PausedState


async def pause(
    run: RunContext,
    ended: LoopResult,
    *,
    checkpoint: Callable[[RunProgress, tuple[Item, ...]], str],
) -> StopCause | None:
    """Pause a run. Returns None if it is paused; else the cause that stopped it meanwhile.

    Raises Overloaded if the table cannot be reached.
    """
    recorder = run.recorder
    recorder.flush()
    recorder.record(recorder.events.paused(run.usage.tokens))
    # No worker may resume the run before this log is written.
    await run.log.flushed()
    paused = PausedState(
        id=run.id,
        worker=run.worker,
        # Built last: it contains the number of the last event.
        checkpoint=checkpoint(ended.progress, ended.items),
        usage=run.usage.tokens,
        steps=run.usage.model_calls,
        tool_calls=ended.progress.tool_calls,
    )
    reason = await run.retry_while_unavailable(lambda: run.store.pause(paused))
    if reason is None:
        return None
    return StopCause.LOST if reason == "lost" else stop_named(reason)
