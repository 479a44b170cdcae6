"""What the tokens of a route cost."""

import msgspec


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a route's tokens cost, in millionths of the currency unit per million tokens."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def cost(self, *, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> int:
        """Millionths of the currency unit, rounded up. Cached tokens are among the prompt's."""
        return -(
            -(
                (prompt_tokens - cached_tokens) * self.prompt
                + cached_tokens * self.cached
                + completion_tokens * self.completion
            )
            // 1_000_000
        )


FREE = Price()
