"""Estimates of the tokens that an engine has generated before it reports usage.

They bill clients that disconnect before the end. An estimate uses the average time per token of the
route, or a typical one for a new route.
"""

from tenants.admission.limits.demand import Demand
from tenants.admission.usage.records import Usage

DEFAULT_SECONDS_PER_TOKEN = 0.03
WEIGHT_OF_NEWEST = 0.2


class GenerationRates:
    """Moving averages of seconds per completion token, by route."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def learn(self, *, route: str, seconds: float, usage: Usage) -> None:
        """Update the average by a complete response. Estimated usage is ignored."""
        if usage.estimated or not usage.completion_tokens or seconds <= 0:
            return
        newest = seconds / usage.completion_tokens
        known = self._seconds.get(route, newest)
        self._seconds[route] = known + WEIGHT_OF_NEWEST * (newest - known)

    def estimate(self, *, route: str, seconds: float, demand: Demand) -> int:
        """Estimate the completion tokens of all choices that were generated in so many seconds."""
        per_token = self._seconds.get(route, DEFAULT_SECONDS_PER_TOKEN)
        limit = demand.context_length
        if demand.max_completion_tokens is not None:
            limit = min(limit, demand.max_completion_tokens)
        return min(round(max(0.0, seconds) / per_token), limit * demand.choices)
