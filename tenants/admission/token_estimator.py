"""Estimates of the tokens of a prompt before an engine counts them.

An estimate is a third of the bytes, which is rarely too low for text, plus the excess over it that
engines have reported for the route, such as the tokens of chat templates.
"""

from tenants.admission.usage.records import Usage

BYTES_PER_TOKEN = 3
DEFAULT_EXCESS_TOKENS = 32
"""Excess of a route, such as its chat template, until an engine has reported usage."""
MAX_EXCESS_TOKENS = 4096
EXCESS_DECAY = 0.98
"""Factor by which each request lowers the excess, so that an unusual request wears off."""


class TokenEstimator:
    """Estimates prompt tokens by route, corrected by the usage that engines report."""

    def __init__(self) -> None:
        self._excess: dict[str, float] = {}

    def estimate(self, *, route: str, prompt_bytes: int) -> int:
        """Estimate the tokens of so many bytes of text, rarely too low."""
        return self._guess(prompt_bytes) + round(self._excess.get(route, DEFAULT_EXCESS_TOKENS))

    def learn(self, *, route: str, prompt_bytes: int, usage: Usage) -> None:
        """Update the excess by reported usage. Estimated and missing usage is ignored."""
        if usage.estimated or not usage.prompt_tokens:
            return
        excess = min(MAX_EXCESS_TOKENS, max(0, usage.prompt_tokens - self._guess(prompt_bytes)))
        self._excess[route] = max(float(excess), self._excess.get(route, 0.0) * EXCESS_DECAY)

    @staticmethod
    def _guess(prompt_bytes: int) -> int:
        return -(-prompt_bytes // BYTES_PER_TOKEN)
