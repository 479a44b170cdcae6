"""Strategies: who gets the next request."""

import random
from collections import Counter

import pytest

from inference.errors import NoEndpointAvailable
from inference.fleet.snapshot import Endpoint, Pool
from inference.fleet.strategies import candidates_of, least_requests
from inference.relay.journey import Journey
from inference.relay.relay import untried


def endpoint(name, **facts) -> Endpoint:
    return Endpoint(id=name, address=f"http://{name}", model="m", **facts)


def loads(**counts):
    return lambda name: counts.get(name, 0)


def pick(candidates, load, *, times=1):
    rng = random.Random(7)
    return Counter(least_requests(candidates, load=load, rng=rng).id for _ in range(times))


A, B, C = (endpoint(name) for name in "abc")


def test_the_fewest_requests_win():
    assert pick([A, B, C], loads(a=3, b=1, c=2), times=20) == {"b": 20}


def test_requests_count_for_the_size_of_their_endpoint():
    large, small = endpoint("large", max_concurrency=100), endpoint("small", max_concurrency=10)

    assert pick([large, small], loads(large=50, small=6)) == {"large": 1}
    assert pick([large, small], loads(large=50, small=4)) == {"small": 1}


def test_ties_are_spread():
    picks = pick([A, B, C], loads(), times=3000)

    assert all(850 < count < 1150 for count in picks.values())


def test_a_single_candidate_is_picked():
    assert pick([A], loads(a=500)) == {"a": 1}


def test_work_spreads_in_proportion_to_size():
    large, small = endpoint("large", max_concurrency=30), endpoint("small", max_concurrency=10)
    running = Counter()
    rng = random.Random(7)
    for _ in range(400 // 10):
        running[least_requests([large, small], load=running.__getitem__, rng=rng).id] += 1

    assert running == {"large": 30, "small": 10}


def test_full_endpoints_are_skipped():
    full = endpoint("full", max_concurrency=2)

    assert candidates_of([full, A], load=loads(full=2, a=900)) == [A]


@pytest.mark.parametrize(("running", "free"), [(0, True), (1, True), (2, False), (3, False)])
def test_an_endpoint_is_full_at_its_most_requests(running, free):
    limited = endpoint("a", max_concurrency=2)

    found = candidates_of([limited, B], load=loads(a=running, b=900))

    assert found == ([limited, B] if free else [B])


def test_where_all_are_full_the_engines_own_queues_are_better_than_a_refusal():
    limited = endpoint("a", max_concurrency=2)

    assert candidates_of([limited], load=loads(a=2)) == [limited]


def test_without_any_endpoint_the_caller_is_told_to_come_back():
    with pytest.raises(NoEndpointAvailable) as caught:
        candidates_of([], load=loads())

    assert caught.value.retry_after == 5


def test_an_endpoint_without_room_at_all_takes_nothing():
    with pytest.raises(NoEndpointAvailable):
        candidates_of([endpoint("a", max_concurrency=0)], load=loads())


def test_only_ready_endpoints_that_were_not_tried_are_candidates():
    draining = endpoint("draining", ready=False)
    journey = Journey(Pool(name="p", engine="vllm", endpoints=(A, draining, B)))
    journey.visit(A)

    assert untried(journey) == [B]


def test_a_journey_tells_only_of_detours():
    journey = Journey(Pool(name="p", engine="vllm"))
    assert (journey.endpoint, journey.attempts, journey.decision()) == ("", 0, {})

    journey.visit(A)
    assert (journey.endpoint, journey.decision()) == ("a", {})

    journey.visit(B)
    assert journey.decision() == {"strategy": "least_requests", "unreachable": ["a"]}
