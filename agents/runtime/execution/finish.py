"""The one end of a run: what the table is told of it, and then its readers."""

import time

from agents.errors import RunNotKept
from agents.events.responses import Frame
from agents.runtime.execution.outcome import Outcome
from agents.runtime.execution.run_context import RunContext
from agents.runtime.loop.pending_calls import answered
from agents.schema.items import StoredItem
from agents.schema.json_types import Json
from agents.schema.run_records import EndedRun
from agents.schema.stored_items import STOPPED, shown_items
from kernel.errors import Overloaded, PlatformError


class RunFinisher:
    """Ends a run in the table first, then in its log: an end is published once it is stored."""

    def __init__(
        self, run: RunContext, outcome: Outcome, *, is_cut: bool, tool_calls: int, is_hit: bool
    ) -> None:
        """`is_cut`: it was stopped, so that calls may lack their answers."""
        self.error = outcome.error
        """Why it failed, as its readers are told."""
        self._run = run
        self._outcome = outcome
        self._is_cut = is_cut
        self._tool_calls = tool_calls
        self._is_hit = is_hit

    async def tell(self, *, has_row: bool) -> bool:
        """Tell the table and the readers. False if somebody else has ended it: nothing is told."""
        run = self._run
        run.recorder.flush()
        frames = self._last_frames()
        if has_row:
            ended = self._as_ended()
            try:
                if not await run.retry_while_unavailable(lambda: run.store.finish(ended)):
                    return False
            except Overloaded:
                frames = self._fail_if_unsaved(frames)
        run.recorder.end(frames)
        await run.log.flushed()
        return True

    def _last_frames(self) -> list[Frame]:
        outcome, used = self._outcome, self._run.calls.used
        events, now = self._run.recorder.events, int(time.time())
        if outcome.error is not None:
            return events.failed(outcome.error, now=now)
        if outcome.state == "completed":
            return events.completed(used, now=now)
        reason = "cancelled" if outcome.state == "cancelled" else outcome.reason
        return events.incomplete(used, reason=reason, now=now)

    def _fail_if_unsaved(self, frames: list[Frame]) -> list[Frame]:
        """What was to be stored and could not be must not be told as done."""
        if not self._run.create.store:
            return frames
        number = frames[-1]["sequence_number"]
        self.error = RunNotKept(retry_after=1)
        (last,) = self._run.recorder.events.failed(self.error, now=int(time.time()))
        return [*frames[:-1], {**last, "sequence_number": number}]

    def _as_ended(self) -> EndedRun:
        run, outcome = self._run, self._outcome
        return EndedRun(
            id=run.id,
            tenant_id=run.tenant_id,
            worker=run.worker,
            state=outcome.state,
            usage=run.calls.used,
            conversation=run.create.conversation,
            error=None if outcome.error is None else problem_of(outcome.error),
            reason=outcome.reason,
            steps=run.calls.count,
            tool_calls=self._tool_calls,
            cache_hit=self._is_hit,
            items=self._items() if run.create.store else (),
        )

    def _items(self) -> tuple[StoredItem, ...]:
        brought = (StoredItem(item=item, is_input=True) for item in self._run.create.input)
        output = self._run.recorder.events.output()
        # Engines refuse a history with calls that nothing answers.
        closed = answered(output, note=STOPPED) if self._is_cut else ()
        made = shown_items((*output, *closed))
        return (*brought, *(StoredItem(item=item) for item in made))


def problem_of(error: PlatformError) -> Json:
    return {"code": error.code, "message": error.message, "param": error.param}
