"""How many tokens an engine has made by now, where it tells only at the end of its answer.

A client that hangs up before has used the engine all the same. What routes took for each token so
far is remembered; without that a usual model's pace is taken.
"""

from tenants.admission.limits.demand import Demand
from tenants.admission.usage.records import Usage

USUAL_SECONDS_PER_TOKEN = 0.03
WEIGHT_OF_NEWEST = 0.2


class AnswerPaces:
    """Seconds for each token of an answer, by route."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def learn(self, *, route: str, seconds: float, usage: Usage) -> None:
        """An answer took so long. Estimates teach nothing."""
        if usage.estimated or not usage.completion_tokens or seconds <= 0:
            return
        newest = seconds / usage.completion_tokens
        known = self._seconds.get(route, newest)
        self._seconds[route] = known + WEIGHT_OF_NEWEST * (newest - known)

    def estimate(self, *, route: str, seconds: float, demand: Demand) -> int:
        """Tokens that were made in so many seconds, of all answers that were asked for."""
        per_token = self._seconds.get(route, USUAL_SECONDS_PER_TOKEN)
        longest = demand.context_length
        if demand.longest_answer is not None:
            longest = min(longest, demand.longest_answer)
        return min(round(max(0.0, seconds) / per_token), longest * demand.answers)
