"""How many tokens a prompt will have, before anybody has counted them.

A third of its bytes is a cautious guess for text; chat templates add what they add. How far the
engines' own counts were above the guess is remembered for each route and added.
"""

from tenants.admission.usage.records import Usage

BYTES_PER_TOKEN = 3
UNKNOWN_TEMPLATE = 32
"""Tokens that a template may add, as long as no answer has told."""
MAX_EXCESS_TOKENS = 4096
FORGETTING = 0.98
"""By how much one request lowers what an earlier, unusual one has raised."""


class TokenEstimator:
    """Guesses of prompt tokens by route, corrected by what the engines count."""

    def __init__(self) -> None:
        self._excess: dict[str, float] = {}

    def estimate(self, *, route: str, prompt_bytes: int) -> int:
        """Tokens that a prompt of so many bytes of text will hardly exceed."""
        return self._guess(prompt_bytes) + round(self._excess.get(route, UNKNOWN_TEMPLATE))

    def learn(self, *, route: str, prompt_bytes: int, usage: Usage) -> None:
        """An engine has counted. Estimates and failures teach nothing."""
        if usage.estimated or not usage.prompt_tokens:
            return
        excess = min(MAX_EXCESS_TOKENS, max(0, usage.prompt_tokens - self._guess(prompt_bytes)))
        self._excess[route] = max(float(excess), self._excess.get(route, 0.0) * FORGETTING)

    @staticmethod
    def _guess(prompt_bytes: int) -> int:
        return -(-prompt_bytes // BYTES_PER_TOKEN)
