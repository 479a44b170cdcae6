"""The budget of a run. A hand-off to another agent also spends from the run that started it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import msgspec

from agents.schema.run_limits import RunLimits, RunProgress
from inference.relay.schema import ChatRequest
from tenants.admission.usage.records import Usage

Clock = Callable[[], float]
"""Returns seconds of a monotonic clock, as `time.monotonic`."""

Reason = Literal[
    "max_steps",
    "max_tool_calls",
    "max_run_seconds",
    "max_run_tokens",
    "max_output_tokens",
    "content_filter",
]
"""The reason of an incomplete end. Limits have the names that the page of an agent uses."""


class Budget:
    """The limits of one run, its usage, and the budget of the run that started it."""

    def __init__(
        self, limits: RunLimits, done: RunProgress, *, clock: Clock, parent: "Budget | None" = None
    ) -> None:
        self._limits = limits
        self._done = done
        self._clock = clock
        self._started = clock() - done.seconds
        self._parent = parent
        self._context = 0
        """The tokens of the last prompt and response: the next prompt has at least as many."""

    @property
    def progress(self) -> RunProgress:
        return replace(self._done, seconds=self._clock() - self._started)

    @property
    def tokens_left(self) -> int | None:
        """The tokens left, the minimum of this run and its parents; None without a limit."""
        limit = self._limits.tokens
        own = None if limit is None else max(0, limit - self._done.tokens)
        parent = self._parent.tokens_left if self._parent else None
        return min((left for left in (own, parent) if left is not None), default=None)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._limits.seconds - (self._clock() - self._started))

    @property
    def calls_left(self) -> int:
        return max(0, self._limits.tool_calls - self._done.tool_calls)

    def end_before_step(self, request: ChatRequest) -> Reason | None:
        """Return the limit that forbids another call of the model; None if it may be called."""
        left = self.tokens_left
        if self._done.steps >= self._limits.steps:
            return "max_steps"
        if self.seconds_left <= 0:
            return "max_run_seconds"
        if left is not None and left <= self._context:
            return "max_run_tokens"
        cap = max_output_tokens(request)
        if cap is not None and cap <= self._done.completion_tokens:
            return "max_output_tokens"
        return None

    def with_token_cap(self, request: ChatRequest) -> tuple[ChatRequest, Reason]:
        """`request` limited to the tokens left, and the reason if the response reaches them."""
        cap, left = max_output_tokens(request), self.tokens_left
        rooms: list[tuple[int, Reason]] = []
        if cap is not None:
            rooms.append((cap - self._done.completion_tokens, "max_output_tokens"))
        if left is not None:
            rooms.append((left - self._context, "max_run_tokens"))
        if not rooms:
            return request, "max_output_tokens"
        room, reason = min(rooms)
        limited = msgspec.structs.replace(
            request, max_tokens=max(1, room), max_completion_tokens=None
        )
        return limited, reason

    def step(self) -> int:
        """Start a step. Returns its number, from 1."""
        self._done = replace(self._done, steps=self._done.steps + 1)
        return self._done.steps

    def add_model_usage(self, usage: Usage) -> None:
        """Add the usage of a model call of this run."""
        self._context = usage.total_tokens
        self.spend(usage)

    def spend(self, usage: Usage) -> None:
        """Add tokens used by this run, or by a hand-off of it, here and in the parents."""
        self._done = replace(
            self._done,
            prompt_tokens=self._done.prompt_tokens + usage.prompt_tokens,
            cached_tokens=self._done.cached_tokens + usage.cached_tokens,
            completion_tokens=self._done.completion_tokens + usage.completion_tokens,
        )
        if self._parent is not None:
            self._parent.spend(usage)

    def add_tool_calls(self, count: int) -> None:
        self._done = replace(self._done, tool_calls=self._done.tool_calls + count)


def max_output_tokens(request: ChatRequest) -> int | None:
    limits = [n for n in (request.max_completion_tokens, request.max_tokens) if n is not None]
    return min(limits, default=None)
