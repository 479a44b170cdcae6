"""Help texts of the strategies."""

from typing import NamedTuple

from inference.models.pool import Strategy


class StrategyHelp(NamedTuple):
    """The texts of one strategy."""

    picks: str
    """Completes “it picks …” and “it was sent to …”."""
    when_to_use: str
    """When to use it."""


STRATEGIES = {
    Strategy.LEAST_REQUESTS: StrategyHelp(
        "the endpoint with the fewest running requests for its size",
        "The default, and right for most pools.",
    ),
    Strategy.ROUND_ROBIN: StrategyHelp(
        "the next endpoint in a fixed order",
        "For equal engines and requests of about the same duration.",
    ),
    Strategy.WEIGHTED_ROUND_ROBIN: StrategyHelp(
        "the next endpoint in a fixed order, in proportion to the weights",
        "For engines of different sizes, or to give a new engine a small share.",
    ),
    Strategy.RANDOM: StrategyHelp(
        "a random endpoint",
        "As a baseline for comparisons: it needs no load data.",
    ),
    Strategy.TWO_CHOICES: StrategyHelp(
        "the less loaded of two random endpoints",
        "For very many gateways or endpoints: nearly as even as the fewest requests, and gateways "
        "do not all choose the same endpoint.",
    ),
    Strategy.WEIGHTED_LEAST_REQUESTS: StrategyHelp(
        "the endpoint with the fewest running requests for its weight",
        "For engines of different speed whose weights you know.",
    ),
    Strategy.LOWEST_LATENCY: StrategyHelp(
        "the endpoint with the lowest recent time to first token",
        "For engines of different or changing speed: slow ones automatically get fewer requests.",
    ),
    Strategy.CONSISTENT_HASH: StrategyHelp(
        "the endpoint that the hash of the conversation or API key selects",
        "For conversations whose prefix stays in the cache of an engine.",
    ),
    Strategy.PREFIX_AFFINITY: StrategyHelp(
        "the endpoint that has the prefix of the prompt in its cache",
        "For long system prompts or documents that many requests share.",
    ),
    Strategy.QUEUE_AWARE: StrategyHelp(
        "the endpoint with the shortest queue and the most room in its KV cache",
        "For vLLM under heavy load from several gateways: the engines report their own load.",
    ),
}


def picks(strategy: str) -> str:
    """Return the text for what a strategy picks; a name that is unknown is part of the text."""
    known = STRATEGIES.get(strategy)  # type: ignore[call-overload]
    return known.picks if known else f"the choice of {strategy or 'an unknown strategy'}"
