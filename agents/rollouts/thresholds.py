"""The thresholds for the automatic rollback of a candidate."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The thresholds of a rollout, with the names of the fields of `Rollout`."""

    min_runs: int = 50
    max_error_rate_increase_points: int = 5
    max_latency_increase_percent: int = 50


DEFAULT_THRESHOLDS = Thresholds()
