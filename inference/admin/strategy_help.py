"""The strategies in words: what each does, and when it is the right one."""

from typing import NamedTuple

from inference.models.pool import Strategy


class Words(NamedTuple):
    """One strategy."""

    picks: str
    """Completes “chosen was …”."""
    use_it: str
    """When."""


STRATEGIES = {
    Strategy.LEAST_REQUESTS: Words(
        "the endpoint with the fewest running requests for its size",
        "The default, and right for most pools.",
    ),
    Strategy.ROUND_ROBIN: Words(
        "the next endpoint in turn",
        "For equal engines and requests that are all about as long.",
    ),
    Strategy.WEIGHTED_ROUND_ROBIN: Words(
        "the next endpoint in turn, each as often as its weight says",
        "For engines of different sizes, or to give a new one a small part.",
    ),
    Strategy.RANDOM: Words(
        "an endpoint drawn by lot",
        "For comparisons: no strategy needs to know less.",
    ),
    Strategy.TWO_CHOICES: Words(
        "the less busy of two that were drawn by lot",
        "For very many gateways or endpoints: nearly as even as the fewest requests, without "
        "everybody running to the same one.",
    ),
    Strategy.WEIGHTED_LEAST_REQUESTS: Words(
        "the endpoint with the fewest running requests for its weight",
        "For engines of different speed whose weights you know.",
    ),
    Strategy.LOWEST_LATENCY: Words(
        "the endpoint that lately began to answer soonest",
        "For engines of different or changing speed: slow ones get little by themselves.",
    ),
    Strategy.CONSISTENT_HASH: Words(
        "the endpoint to which its conversation or key belongs",
        "For conversations whose beginning stays in an engine's cache.",
    ),
    Strategy.PREFIX_AFFINITY: Words(
        "the endpoint that has the beginning of its prompt in its cache",
        "For long system prompts or documents that many requests share.",
    ),
    Strategy.QUEUE_AWARE: Words(
        "the endpoint with the shortest queue and the most room in its KV cache",
        "For vLLM under heavy load from several gateways: the engines themselves tell their load.",
    ),
}


def picks(strategy: str) -> str:
    """What a strategy picks; a name that is not known any more is told as it is."""
    known = STRATEGIES.get(strategy)  # type: ignore[call-overload]
    return known.picks if known else f"the choice of {strategy or 'an unknown strategy'}"
