"""Tells one run into its log. Text that comes in quick succession is told together."""

import asyncio
from dataclasses import replace

from agents.events.event import as_event
from agents.events.responses import Frame, ResponseEvents
from agents.events.writer import RunLog
from agents.schema.loop_events import LoopEvent, ReasoningDelta, RefusalDelta, TextDelta

Delta = TextDelta | RefusalDelta | ReasoningDelta

PACE_SECONDS = 0.04
"""Between two deltas: the first one is told at once, and the end waits for nothing."""


class EventRecorder:
    """The runtime's `Tell`. Everything is told in the order in which it happened."""

    def __init__(self, events: ResponseEvents, run_log: RunLog) -> None:
        self.events = events
        self._log = run_log
        self._loop = asyncio.get_running_loop()
        self._waiting: list[str] = []
        self._last: Delta | None = None
        """Whose kind and item those texts are of."""
        self._reported_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, fact: LoopEvent) -> None:
        if isinstance(fact, Delta):
            self._collect(fact)
            return
        self.flush()
        self.say(self.events.frames_of(fact))

    def say(self, frames: list[Frame]) -> None:
        """Tell frames of `events`, after what waits."""
        self._log.append([as_event(frame) for frame in frames])

    def end(self, frames: list[Frame]) -> None:
        """Tell the last frames, when the table has the end."""
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
                # All runs of the worker at the same beats, so that one round trip tells them all.
                due = (due // PACE_SECONDS + 1) * PACE_SECONDS
                self._timer = self._loop.call_at(due, self.flush)

    def flush(self) -> None:
        """Tell the text that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._last is not None:
            text, self._waiting = "".join(self._waiting), []
            self._reported_at = self._loop.time()
            self.say(self.events.frames_of(replace(self._last, text=text)))
