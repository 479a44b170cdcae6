"""After what a run ends by itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """After which a run ends as incomplete."""

    steps: int = 8
    tool_calls: int = 16
    seconds: int = 600
    tokens: int | None = None


USUAL_LIMITS = RunLimits()
