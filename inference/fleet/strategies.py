"""The strategies: pure functions of the candidates, the request and a random generator."""

import random
from collections.abc import Callable, Mapping
from operator import attrgetter

from inference.fleet.endpoint_state import CandidateSet, EndpointState
from inference.fleet.pick_context import PickContext

MIN_PREFIX_BYTES = 256
"""Minimum bytes of a prompt for which prefix affinity is used."""
MAX_RELATIVE_LOAD = 1.25
"""Maximum load of a candidate, relative to the mean, for which a key stays there."""
GOLDEN = 0.6180339887498949
"""The golden ratio: the fractional parts of its multiples are evenly distributed."""


Strategy = Callable[[CandidateSet, PickContext, random.Random], EndpointState]

load_of = attrgetter("load")
load_by_weight_of = attrgetter("load_by_weight")
expected_ttft_of = attrgetter("expected_ttft")
queue_score_of = attrgetter("queue_score")


def least_requests(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose the fewest running requests, relative to `max_concurrency`."""
    return min(field.candidates, key=load_of)


def round_robin(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose each endpoint in order."""
    return field.candidates[context.sequence % len(field)]


def weighted_round_robin(
    field: CandidateSet, context: PickContext, rng: random.Random
) -> EndpointState:
    """Choose each endpoint in proportion to its weight, evenly interleaved."""
    return field.at_weight(context.sequence * GOLDEN % 1.0)


def at_random(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose a random endpoint, in proportion to the weights."""
    return field.at_weight(rng.random())


def two_choices(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose the less loaded of two random endpoints (Mitzenmacher, 2001)."""
    candidates = field.candidates
    last = len(candidates) - 1
    one = int(rng.random() * (last + 1))
    # Two different endpoints: a slow one that is drawn twice would get the request.
    other = int(rng.random() * last)
    other += other >= one and last > 0
    return less_busy(candidates[one], candidates[other])


def less_busy(one: EndpointState, other: EndpointState) -> EndpointState:
    return one if one.load <= other.load else other


def weighted_least_requests(
    field: CandidateSet, context: PickContext, rng: random.Random
) -> EndpointState:
    """Choose the fewest running requests, relative to the weight."""
    return min(field.candidates, key=load_by_weight_of)


def lowest_latency(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose the shortest expected time to first token."""
    return min(field.candidates, key=expected_ttft_of)


def consistent_hash(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose the same endpoint for each conversation or key, unless its load is above the bound.

    Source: Mirrokni et al., "Consistent Hashing with Bounded Loads" (2018).
    """
    if not context.affinity_key:
        return least_requests(field, context, rng)
    return nearest_with_room(field, context.affinity_key)


def prefix_affinity(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose the same endpoint for long prompts with the same beginning, which it may cache."""
    if len(context.prefix) < MIN_PREFIX_BYTES:
        return least_requests(field, context, rng)
    return nearest_with_room(field, context.prefix)


def nearest_with_room(field: CandidateSet, key: bytes) -> EndpointState:
    max_load = MAX_RELATIVE_LOAD * (sum(map(load_of, field.candidates)) / len(field)) + 1e-2
    near = (each for each in field.nearest(key) if each.load <= max_load)
    return next(near, None) or min(field.candidates, key=load_of)


def queue_aware(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Choose the lowest score of engine queue and KV cache, as engines reported last."""
    return min(field.candidates, key=queue_score_of)


STRATEGIES: Mapping[str, Strategy] = {
    "least_requests": least_requests,
    "round_robin": round_robin,
    "weighted_round_robin": weighted_round_robin,
    "random": at_random,
    "two_choices": two_choices,
    "weighted_least_requests": weighted_least_requests,
    "lowest_latency": lowest_latency,
    "consistent_hash": consistent_hash,
    "prefix_affinity": prefix_affinity,
    "queue_aware": queue_aware,
}
"""The strategies by `ModelPool.strategy`."""
