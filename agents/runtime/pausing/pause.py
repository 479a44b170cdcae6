"""How a run comes to wait for people: told in its log first, then held by no worker any more."""

from collections.abc import Callable

from agents.runtime.execution.outcome import Stop, stop_named
from agents.runtime.execution.run_context import RunContext
from agents.runtime.loop.ports import LoopResult
from agents.schema.run_records import PausedState

Checkpoint = Callable[[LoopResult], str]
"""What another worker needs to go on, as text. Asked when everything is told."""


async def pause(run: RunContext, ended: LoopResult, *, checkpoint: Checkpoint) -> Stop | None:
    """Let a run wait. None if it does; else why not: it was stopped in this moment.

    Raises Overloaded if the table cannot be asked.
    """
    recorder = run.recorder
    recorder.flush()
    recorder.say(recorder.events.paused(run.calls.used))
    # Nobody may go on with it before this log is written.
    await run.log.flushed()
    paused = PausedState(
        id=run.id,
        worker=run.worker,
        checkpoint=checkpoint(ended),
        usage=run.calls.used,
        steps=run.calls.count,
        tool_calls=ended.progress.tool_calls,
    )
    why = await run.retry_while_unavailable(lambda: run.store.pause(paused))
    if why is None:
        return None
    return Stop.LOST if why == "lost" else stop_named(why)
