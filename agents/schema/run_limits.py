"""The limits of a run, and its progress towards them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """The limits of a run, which ends as incomplete when it reaches one of them."""

    steps: int = 8
    tool_calls: int = 16
    seconds: int = 600
    tokens: int | None = None


USUAL_LIMITS = RunLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """The progress of a run. It only grows, and is part of the checkpoint of a paused run."""

    steps: int = 0
    """The number of model calls of the loop."""
    tool_calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    """The tokens, like those of prompts, include the usage of hand-offs to other agents."""
    seconds: float = 0.0
    """The duration of the execution, without the time of waiting for approvals."""

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens
