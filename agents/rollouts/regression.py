"""Whether a candidate does worse than what it would replace, or seems to. Pure."""

import math
from dataclasses import dataclass
from typing import Literal

from agents.rollouts.thresholds import Thresholds

CERTAINTY = 2.5
"""Standard errors by which error rates must differ: chance alone does so about once in 160."""
MIN_DELAY_MS = 50.0
"""Below which nobody feels a difference, whatever it is in per cent."""
MIN_EARLY_RUNS = 3
"""Of each revision, before a wide difference is shown: one or two may have met a cold start."""
EARLY_FACTOR = 2
"""How many times the allowed difference is wide, as long as little is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionStats:
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


def regression_reason(
    *, base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> str:
    """A sentence if `candidate` is to go back; empty if not, or if too little is known."""
    if min(base.runs, candidate.runs) < thresholds.least_runs:
        return ""
    return (
        error_rate_regressed(base, candidate, thresholds)
        or is_slower(
            "runs take", base.p95_ms, candidate.p95_ms, most_percent=thresholds.most_latency
        )
        or starts_slower(base, candidate, thresholds)
    )


def error_rate_regressed(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> str:
    more = candidate.error_rate - base.error_rate
    if more * 100 <= thresholds.most_errors or more <= CERTAINTY * standard_error(base, candidate):
        return ""
    return (
        f"It failed {candidate.failed} of {candidate.runs} runs ({candidate.error_rate:.1%}), "
        f"the served revision {base.failed} of {base.runs} ({base.error_rate:.1%}); "
        f"{thresholds.most_errors} points more are allowed."
    )


def standard_error(a: RevisionStats, b: RevisionStats) -> float:
    """Of the difference of two error rates, if both were the same in truth."""
    rate = (a.failed + b.failed) / (a.runs + b.runs)
    return math.sqrt(rate * (1 - rate) * (1 / a.runs + 1 / b.runs))


def is_slower(what: str, base: float | None, candidate: float | None, *, most_percent: int) -> str:
    if base is None or candidate is None or not exceeds(base, candidate, most_percent):
        return ""
    return (
        f"Its {what} {candidate:,.0f} ms at the 95th percentile, "
        f"the served revision's {base:,.0f} ms; {most_percent} % more are allowed."
    )


def exceeds(base: float, candidate: float, most_percent: int) -> bool:
    """Whether milliseconds are more by a part that somebody feels."""
    return candidate - base > MIN_DELAY_MS and candidate > base * (1 + most_percent / 100)


def starts_slower(base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds) -> str:
    if min(base.streams, candidate.streams) < thresholds.least_runs:
        return ""
    return is_slower(
        "first tokens take",
        base.p95_ttft_ms,
        candidate.p95_ttft_ms,
        most_percent=thresholds.most_latency,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlySign:
    """A figure of a candidate that differs widely from the served revision's.

    It takes nobody back: it shows people where to look before enough runs are there.
    """

    figure: Literal["failed", "p95_ms", "p95_ttft_ms"]
    mark: str
    """A few words, for beside the figure."""
    says: str
    """A sentence with both figures."""


def early_signs(
    *, base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> tuple[EarlySign, ...]:
    """The figures that are worse by EARLY_FACTOR times what is allowed, after MIN_EARLY_RUNS."""
    if min(base.runs, candidate.runs) < MIN_EARLY_RUNS:
        return ()
    found = [failing_sign(base, candidate, thresholds), slow_sign(base, candidate, thresholds)]
    if min(base.streams, candidate.streams) >= MIN_EARLY_RUNS:
        found.append(late_sign(base, candidate, thresholds))
    return tuple(sign for sign in found if sign)


def failing_sign(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> EarlySign | None:
    more = candidate.error_percent - base.error_percent
    # One failure alone is chance, whatever it is in per cent of few runs.
    if candidate.failed < 2 or more <= EARLY_FACTOR * thresholds.most_errors:  # noqa: PLR2004
        return None
    says = (
        f"It failed {candidate.failed} of {candidate.runs} runs, "
        f"the served revision {base.failed} of {base.runs}."
    )
    return EarlySign(figure="failed", mark="fails much more", says=says)


def slow_sign(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> EarlySign | None:
    found = times_as_long(base.p95_ms, candidate.p95_ms, thresholds)
    if found is None:
        return None
    return EarlySign(
        figure="p95_ms", mark=f"{found} as long", says=f"Its runs take {found} as long."
    )


def late_sign(
    base: RevisionStats, candidate: RevisionStats, thresholds: Thresholds
) -> EarlySign | None:
    found = times_as_long(base.p95_ttft_ms, candidate.p95_ttft_ms, thresholds)
    if found is None:
        return None
    return EarlySign(
        figure="p95_ttft_ms",
        mark=f"{found} as long",
        says=f"Its first tokens take {found} as long.",
    )


def times_as_long(
    base: float | None, candidate: float | None, thresholds: Thresholds
) -> str | None:
    """`35 times`, if that is wide."""
    if base is None or candidate is None:
        return None
    if not exceeds(base, candidate, EARLY_FACTOR * thresholds.most_latency):
        return None
    times = candidate / max(base, 1.0)
    return f"{times:,.0f} times" if times >= 10 else f"{times:,.1f} times"  # noqa: PLR2004
