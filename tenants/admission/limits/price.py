"""Prices of the tokens of a route."""

import msgspec


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of a route's tokens, in millionths of the currency unit per million tokens."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def cost(self, *, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> int:
        """Return the cost in millionths of the currency unit, rounded up.

        `prompt_tokens` include `cached_tokens`.
        """
        return -(
            -(
                (prompt_tokens - cached_tokens) * self.prompt
                + cached_tokens * self.cached
                + completion_tokens * self.completion
            )
            // 1_000_000
        )


FREE = Price()
