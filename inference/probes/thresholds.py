"""What probes mean: when an endpoint is taken out, comes back, and is asked again. Pure.

As load balancers have it (HAProxy's rise, fall and fastinter): one bad answer is no verdict, but
it makes us ask sooner.
"""

from dataclasses import dataclass

DOUBT_SECONDS = 2.0
"""Between two probes while the last one contradicts the state."""
MAX_STREAK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRules:
    """A pool's: good probes that bring an endpoint back, bad ones that take it out."""

    rise: int
    fall: int
    seconds: float


def streak_after(streak: int, *, good: bool) -> int:
    """Good probes in a row, or bad ones as a negative number."""
    if good:
        return min(max(streak, 0) + 1, MAX_STREAK)
    return max(min(streak, 0) - 1, -MAX_STREAK)


def should_fail(streak: int, *, rules: ProbeRules) -> bool:
    return streak <= -rules.fall


def should_recover(streak: int, *, rules: ProbeRules) -> bool:
    return streak >= rules.rise


def next_interval(streak: int, *, is_ready: bool, rules: ProbeRules) -> float:
    """Seconds until the next probe."""
    in_doubt = streak < 0 if is_ready else streak > 0
    return min(rules.seconds, DOUBT_SECONDS) if in_doubt else rules.seconds
