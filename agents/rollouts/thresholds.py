"""When a candidate goes back by itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """See the fields of Rollout, which have the same names."""

    least_runs: int = 50
    """Of each revision, before they are compared."""
    most_errors: int = 5
    """Points of per cent by which more runs may fail."""
    most_latency: int = 50
    """Per cent by which runs may take longer."""


USUAL = Thresholds()
