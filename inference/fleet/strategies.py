"""How an endpoint is chosen: pure functions of the candidates, the request and chance."""

import random
from collections.abc import Callable, Mapping
from operator import attrgetter

from inference.fleet.endpoint_state import CandidateSet, EndpointState
from inference.fleet.pick_context import PickContext

LONG_PREFIX = 256
"""Bytes from which on it is worth going where a prompt may be cached."""
BOUND = 1.25
"""How far above the average a candidate may be before a key goes to the next one."""
GOLDEN = 0.6180339887498949
"""Multiples of it, less their whole part, fill the unit interval evenly at any time."""


Strategy = Callable[[CandidateSet, PickContext, random.Random], EndpointState]

load_of = attrgetter("load")
load_by_weight_of = attrgetter("load_by_weight")
wait_of = attrgetter("wait")
pressure_of = attrgetter("pressure")


def least_requests(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """The fewest running requests, for its size."""
    return min(field.candidates, key=load_of)


def round_robin(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """One after the other."""
    return field.candidates[context.turn % len(field)]


def weighted_round_robin(
    field: CandidateSet, context: PickContext, rng: random.Random
) -> EndpointState:
    """One after the other, the heavier ones more often and evenly in between."""
    return field.at_weight(context.turn * GOLDEN % 1.0)


def at_random(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """By lot, by weight."""
    return field.at_weight(rng.random())


def two_choices(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Of two drawn by lot the one with less to do (Mitzenmacher, 2001)."""
    candidates = field.candidates
    last = len(candidates) - 1
    one = int(rng.random() * (last + 1))
    # Never the same one twice, or one that is slow would get its share of such draws.
    other = int(rng.random() * last)
    other += other >= one and last > 0
    return less_busy(candidates[one], candidates[other])


def less_busy(one: EndpointState, other: EndpointState) -> EndpointState:
    return one if one.load <= other.load else other


def weighted_least_requests(
    field: CandidateSet, context: PickContext, rng: random.Random
) -> EndpointState:
    """The fewest running requests for its weight."""
    return min(field.candidates, key=load_by_weight_of)


def lowest_latency(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """The shortest wait for a first token, if each that runs there already adds one."""
    return min(field.candidates, key=wait_of)


def consistent_hash(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Where this conversation or key always goes, unless that has far more to do than others.

    Source: Mirrokni et al., "Consistent Hashing with Bounded Loads" (2018).
    """
    if not context.affinity:
        return least_requests(field, context, rng)
    return nearest_with_room(field, context.affinity)


def prefix_affinity(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """Long prompts go where the same beginning went, which may still be in the cache."""
    if len(context.prefix) < LONG_PREFIX:
        return least_requests(field, context, rng)
    return nearest_with_room(field, context.prefix)


def nearest_with_room(field: CandidateSet, key: bytes) -> EndpointState:
    most = BOUND * (sum(map(load_of, field.candidates)) / len(field)) + 1e-2
    near = (each for each in field.nearest(key) if each.load <= most)
    return next(near, None) or min(field.candidates, key=load_of)


def queue_aware(field: CandidateSet, context: PickContext, rng: random.Random) -> EndpointState:
    """The shortest queue in the engine, then the most free cache, as engines told last."""
    return min(field.candidates, key=pressure_of)


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
"""By the names that pools have them under."""
