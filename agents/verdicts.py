"""Whether a candidate does worse than what it would replace. Pure."""

import math
from dataclasses import dataclass

from agents.rollout_thresholds import Thresholds

CERTAINTY = 2.5
"""Standard errors by which error rates must differ: chance alone does so about once in 160."""
LEAST_DELAY_MS = 50.0
"""Below which nobody feels a difference, whatever it is in per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What one revision did."""

    runs: int = 0
    """Ended by us: completed, or failed by no fault of the client."""
    failed: int = 0
    streams: int = 0
    """Of which the first token's time is known."""
    p95_ms: float | None = None
    """Of completed runs, from admission to the end."""
    p95_ttft_ms: float | None = None

    @property
    def error_rate(self) -> float:
        """From 0 to 1."""
        return self.failed / self.runs if self.runs else 0.0

    @property
    def error_percent(self) -> float:
        return self.error_rate * 100


def why_worse(*, base: Record, candidate: Record, thresholds: Thresholds) -> str:
    """A sentence if `candidate` is to go back; empty if not, or if too little is known."""
    if min(base.runs, candidate.runs) < thresholds.least_runs:
        return ""
    return (
        fails_more(base, candidate, thresholds)
        or is_slower(
            "runs take", base.p95_ms, candidate.p95_ms, most_percent=thresholds.most_latency
        )
        or starts_slower(base, candidate, thresholds)
    )


def fails_more(base: Record, candidate: Record, thresholds: Thresholds) -> str:
    more = candidate.error_rate - base.error_rate
    if more * 100 <= thresholds.most_errors or more <= CERTAINTY * standard_error(base, candidate):
        return ""
    return (
        f"It failed {candidate.failed} of {candidate.runs} runs ({candidate.error_rate:.1%}), "
        f"the served revision {base.failed} of {base.runs} ({base.error_rate:.1%}); "
        f"{thresholds.most_errors} points more are allowed."
    )


def standard_error(a: Record, b: Record) -> float:
    """Of the difference of two error rates, if both were the same in truth."""
    rate = (a.failed + b.failed) / (a.runs + b.runs)
    return math.sqrt(rate * (1 - rate) * (1 / a.runs + 1 / b.runs))


def is_slower(what: str, base: float | None, candidate: float | None, *, most_percent: int) -> str:
    if base is None or candidate is None:
        return ""
    if candidate - base <= LEAST_DELAY_MS or candidate <= base * (1 + most_percent / 100):
        return ""
    return (
        f"Its {what} {candidate:,.0f} ms at the 95th percentile, "
        f"the served revision's {base:,.0f} ms; {most_percent} % more are allowed."
    )


def starts_slower(base: Record, candidate: Record, thresholds: Thresholds) -> str:
    if min(base.streams, candidate.streams) < thresholds.least_runs:
        return ""
    return is_slower(
        "first tokens take",
        base.p95_ttft_ms,
        candidate.p95_ttft_ms,
        most_percent=thresholds.most_latency,
    )
