"""What a run may still use. A hand-off to another agent spends from the run above it as well."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from agents.schema.run_limits import RunLimits
from inference.relay.schema import ChatRequest
from tenants.admission.usage.records import Usage

Clock = Callable[[], float]
"""Seconds that only ever grow, as `time.monotonic`."""

Reason = Literal[
    "max_steps",
    "max_tool_calls",
    "max_run_seconds",
    "max_run_tokens",
    "max_output_tokens",
    "content_filter",
]
"""Of an incomplete end: limits are named as an agent's page names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come. It only grows; a run that goes on elsewhere takes it along."""

    steps: int = 0
    """Times the model was asked."""
    tool_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    """With what hand-offs to other agents used."""
    seconds: float = 0.0
    """Of work: waiting for an approval does not count."""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Budget:
    """The limits of one run, what it has used of them, and those of the run that called it."""

    def __init__(
        self, limits: RunLimits, done: Progress, *, clock: Clock, above: "Budget | None" = None
    ) -> None:
        self._limits = limits
        self._done = done
        self._clock = clock
        self._started = clock() - done.seconds
        self._above = above
        self._context = 0
        """Tokens of the last prompt and answer: the next prompt has at least as many."""

    @property
    def progress(self) -> Progress:
        return replace(self._done, seconds=self._clock() - self._started)

    @property
    def tokens_left(self) -> int | None:
        """None: as many as the quotas allow. Of all runs above, the least."""
        limit = self._limits.tokens
        own = None if limit is None else max(0, limit - self._done.tokens)
        above = self._above.tokens_left if self._above else None
        return min((left for left in (own, above) if left is not None), default=None)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._limits.seconds - (self._clock() - self._started))

    @property
    def calls_left(self) -> int:
        return max(0, self._limits.tool_calls - self._done.tool_calls)

    def end_before_step(self, request: ChatRequest) -> Reason | None:
        """Why the model must not be asked again; None if it may."""
        left = self.tokens_left
        if self._done.steps >= self._limits.steps:
            return "max_steps"
        if self.seconds_left <= 0:
            return "max_run_seconds"
        if left is not None and left <= self._context:
            return "max_run_tokens"
        longest = longest_answer(request)
        if longest is not None and longest <= self._done.completion_tokens:
            return "max_output_tokens"
        return None

    def capped(self, request: ChatRequest) -> tuple[ChatRequest, Reason]:
        """`request` for an answer no longer than what is left, and whose limit that would be."""
        longest, left = longest_answer(request), self.tokens_left
        rooms: list[tuple[int, Reason]] = []
        if longest is not None:
            rooms.append((longest - self._done.completion_tokens, "max_output_tokens"))
        if left is not None:
            rooms.append((left - self._context, "max_run_tokens"))
        if not rooms:
            return request, "max_output_tokens"
        room, reason = min(rooms)
        capped = msgspec.structs.replace(
            request, max_tokens=max(1, room), max_completion_tokens=None
        )
        return capped, reason

    def step(self) -> int:
        """One more step begins; its number, from 1."""
        self._done = replace(self._done, steps=self._done.steps + 1)
        return self._done.steps

    def answered(self, usage: Usage) -> None:
        """The model has answered once."""
        self._context = usage.total_tokens
        self.spend(usage)

    def spend(self, usage: Usage) -> None:
        """Tokens were used by this run or one below; those above pay as well."""
        self._done = replace(
            self._done,
            prompt_tokens=self._done.prompt_tokens + usage.prompt_tokens,
            cached_tokens=self._done.cached_tokens + usage.cached_tokens,
            completion_tokens=self._done.completion_tokens + usage.completion_tokens,
        )
        if self._above is not None:
            self._above.spend(usage)

    def called(self, count: int) -> None:
        self._done = replace(self._done, tool_calls=self._done.tool_calls + count)


def longest_answer(request: ChatRequest) -> int | None:
    limits = [n for n in (request.max_completion_tokens, request.max_tokens) if n is not None]
    return min(limits, default=None)
