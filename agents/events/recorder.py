"""Records the events of one run in its log. Text deltas in quick succession become one event."""

import asyncio
from dataclasses import replace

from agents.events.event import as_event
from agents.events.responses import Frame, ResponseEvents
from agents.events.writer import RunLog
from agents.schema.loop_events import LoopEvent, ReasoningDelta, RefusalDelta, TextDelta

Delta = TextDelta | RefusalDelta | ReasoningDelta

PACE_SECONDS = 0.04
"""Minimum time between two delta events. The first delta and the end are not delayed."""


class EventRecorder:
    """Implements the loop's `EmitEvent`. Events are recorded in the order in which they happen."""

    def __init__(self, events: ResponseEvents, run_log: RunLog) -> None:
        self.events = events
        self._log = run_log
        self._loop = asyncio.get_running_loop()
        self._waiting: list[str] = []
        self._last: Delta | None = None
        """The last delta, with the type and the item of the waiting texts."""
        self._reported_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, loop_event: LoopEvent) -> None:
        if isinstance(loop_event, Delta):
            self._collect(loop_event)
            return
        self.flush()
        self.record(self.events.frames_of(loop_event))

    def record(self, frames: list[Frame]) -> None:
        """Append frames of `events` to the log."""
        if frames:
            self._log.append([as_event(frame) for frame in frames])

    def end(self, frames: list[Frame]) -> None:
        """Append the last frames, after the table has stored the end."""
        self._log.end([as_event(frame) for frame in frames])

    def _collect(self, delta: Delta) -> None:
        if type(delta) is not type(self._last):
            self.flush()
        self._waiting.append(delta.text)
        self._last = delta
        now = self._loop.time()
        if self._timer is None:
            due = self._reported_at + PACE_SECONDS
            if due <= now:
                self.flush()
            else:
                # All runs of the worker flush at the same ticks, in one round trip to Redis.
                due = (due // PACE_SECONDS + 1) * PACE_SECONDS
                self._timer = self._loop.call_at(due, self.flush)

    def flush(self) -> None:
        """Record the waiting text."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._last is not None:
            text, self._waiting = "".join(self._waiting), []
            self._reported_at = self._loop.time()
            self.record(self.events.frames_of(replace(self._last, text=text)))
