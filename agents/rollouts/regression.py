"""Decides whether a candidate is worse than the published revision. Pure functions."""

import math
from dataclasses import dataclass
from typing import Literal

from agents.rollouts.thresholds import Thresholds

MIN_STANDARD_ERRORS = 2.5
"""Standard errors by which error rates must differ. By chance that happens once in 160."""
MIN_INCREASE_MS = 50.0
"""Smaller increases in latency are ignored, whatever their percentage."""
MIN_EARLY_WARNING_RUNS = 3
"""Runs of each revision before a warning: one or two may be slow because of a cold start."""
MIN_EARLY_WARNING_FAILURES = 2
"""A single failure is chance, whatever its percentage."""
EARLY_WARNING_FACTOR = 2
"""A warning needs a difference of this many times the threshold, because the sample is small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionStats:
    """The metrics of one revision."""

    runs: int = 0
    """Runs that completed, or failed without a client error."""
    failed: int = 0
    streams: int = 0
    """Runs with a known time to first token."""
    p95_ms: float | None = None
    """95th percentile of the duration of completed runs, from admission to the end."""
    p95_ttft_ms: float | None = None

    @property
    def error_rate(self) -> float:
        """Failed runs as a fraction, from 0 to 1."""
        return self.failed / self.runs if self.runs else 0.0

    @property
    def error_percent(self) -> float:
        return self.error_rate * 100


def regression_reason(
    *, base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> str:
    """Return the reason to roll back `candidate`. Empty if there is none, or too few runs."""
    if min(base.runs, candidate.runs) < thresholds.min_runs:
        return ""
    return (
        error_rate_regressed(base, candidate, thresholds)
        or is_slower(
            "runs take",
            base.p95_ms,
            candidate.p95_ms,
            max_increase_percent=thresholds.max_latency_increase_percent,
        )
        or starts_slower(base, candidate, thresholds)
    )


def error_rate_regressed(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> str:
    more = candidate.error_rate - base.error_rate
    if (
        more * 100 <= thresholds.max_error_rate_increase_points
        or more <= MIN_STANDARD_ERRORS * standard_error(base, candidate)
    ):
        return ""
    return (
        f"It failed {candidate.failed} of {candidate.runs} runs ({candidate.error_rate:.1%}), "
        f"the served revision {base.failed} of {base.runs} ({base.error_rate:.1%}); "
        f"{thresholds.max_error_rate_increase_points} percentage points more are allowed."
    )


def standard_error(a: RevisionStats, b: RevisionStats) -> float:
    """Return the standard error of the difference of two error rates, if they are equal."""
    rate = (a.failed + b.failed) / (a.runs + b.runs)
    return math.sqrt(rate * (1 - rate) * (1 / a.runs + 1 / b.runs))


def is_slower(
    what: str, base: float | None, candidate: float | None, *, max_increase_percent: int
) -> str:
    if base is None or candidate is None or not exceeds(base, candidate, max_increase_percent):
        return ""
    return (
        f"Its {what} {candidate:,.0f} ms at the 95th percentile, "
        f"the served revision's {base:,.0f} ms; {max_increase_percent} % more are allowed."
    )


def exceeds(base: float, candidate: float, max_increase_percent: int) -> bool:
    """Return whether milliseconds are higher by more than the threshold and MIN_INCREASE_MS."""
    return candidate - base > MIN_INCREASE_MS and candidate > base * (
        1 + max_increase_percent / 100
    )


def starts_slower(base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds) -> str:
    if min(base.streams, candidate.streams) < thresholds.min_runs:
        return ""
    return is_slower(
        "first tokens take",
        base.p95_ttft_ms,
        candidate.p95_ttft_ms,
        max_increase_percent=thresholds.max_latency_increase_percent,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyWarning:
    """A metric of a candidate that is much worse than that of the published revision.

    It does not roll back. It warns people before there are enough runs for a decision.
    """

    figure: Literal["failed", "p95_ms", "p95_ttft_ms"]
    mark: str
    """A short label beside the metric."""
    message: str
    """A sentence with the metrics of both revisions."""


def early_warnings(
    *, base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> tuple[EarlyWarning, ...]:
    """Return the metrics that are worse by several times the threshold."""
    if min(base.runs, candidate.runs) < MIN_EARLY_WARNING_RUNS:
        return ()
    found = [
        error_rate_warning(base, candidate, thresholds),
        latency_warning(base, candidate, thresholds),
    ]
    if min(base.streams, candidate.streams) >= MIN_EARLY_WARNING_RUNS:
        found.append(ttft_warning(base, candidate, thresholds))
    return tuple(warning for warning in found if warning)


def error_rate_warning(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> EarlyWarning | None:
    more = candidate.error_percent - base.error_percent
    if (
        candidate.failed < MIN_EARLY_WARNING_FAILURES
        or more <= EARLY_WARNING_FACTOR * thresholds.max_error_rate_increase_points
    ):
        return None
    message = (
        f"It failed {candidate.failed} of {candidate.runs} runs, "
        f"the served revision {base.failed} of {base.runs}."
    )
    return EarlyWarning(figure="failed", mark="fails much more", message=message)


def latency_warning(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> EarlyWarning | None:
    found = times_as_long(base.p95_ms, candidate.p95_ms, thresholds)
    if found is None:
        return None
    return EarlyWarning(
        figure="p95_ms", mark=f"{found} as long", message=f"Its runs take {found} as long."
    )


def ttft_warning(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> EarlyWarning | None:
    found = times_as_long(base.p95_ttft_ms, candidate.p95_ttft_ms, thresholds)
    if found is None:
        return None
    return EarlyWarning(
        figure="p95_ttft_ms",
        mark=f"{found} as long",
        message=f"Its first tokens take {found} as long.",
    )


def times_as_long(
    base: float | None, candidate: float | None, thresholds: Thresholds
) -> str | None:
    """Return the factor as text, such as `35 times`. None if the difference is not wide."""
    if base is None or candidate is None:
        return None
    if not exceeds(base, candidate, EARLY_WARNING_FACTOR * thresholds.max_latency_increase_percent):
        return None
    times = candidate / max(base, 1.0)
    return f"{times:,.0f} times" if times >= 10 else f"{times:,.1f} times"  # noqa: PLR2004
