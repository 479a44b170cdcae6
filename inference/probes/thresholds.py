"""Thresholds of probes: when an endpoint fails, recovers, and is probed again. Pure.

As HAProxy's rise, fall and fastinter: one failed probe does not change the state, but shortens the
interval.
"""

from dataclasses import dataclass

RECHECK_SECONDS = 2.0
"""Interval while the last probe contradicts the state."""
MAX_STREAK = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRules:
    """The thresholds of a pool.

    `rise`: successes until recovery; `fall`: failures until removal; `seconds`: interval.
    """

    rise: int
    fall: int
    seconds: float


def streak_after(streak: int, *, good: bool) -> int:
    """Return the number of successes in a row, or of failures as a negative number."""
    if good:
        return min(max(streak, 0) + 1, MAX_STREAK)
    return max(min(streak, 0) - 1, -MAX_STREAK)


def should_fail(streak: int, *, rules: ProbeRules) -> bool:
    return streak <= -rules.fall


def should_recover(streak: int, *, rules: ProbeRules) -> bool:
    return streak >= rules.rise


def next_interval(streak: int, *, is_ready: bool, rules: ProbeRules) -> float:
    """Return the seconds until the next probe."""
    in_doubt = streak < 0 if is_ready else streak > 0
    return min(rules.seconds, RECHECK_SECONDS) if in_doubt else rules.seconds
