"""Strategies: the choice of the endpoint for a request."""

import random
from collections import Counter

import pytest

from inference.admin import strategy_help
from inference.fleet.endpoint_state import CandidateSet, EndpointState, ReportedLoad
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Endpoint
from inference.fleet.strategies import MAX_RELATIVE_LOAD, STRATEGIES
from inference.models.pool import Strategy


def candidate(name, *, running=0, ttft=None, warmth=1.0, reported=None, **facts) -> EndpointState:
    made = EndpointState(Endpoint(id=name, address=f"http://{name}", model="m", **facts))
    made.in_flight, made.ttft, made.slow_start_share = running, ttft, warmth
    made.engine_load = reported or ReportedLoad()
    made.recompute_scores()
    return made


def picks(strategy, candidates, *, times=1000, context=None):
    rng, field = random.Random(7), CandidateSet(candidates)
    wishes = (context or PickContext(sequence=number) for number in range(times))
    return Counter(STRATEGIES[strategy](field, each, rng).endpoint.id for each in wishes)


def test_the_console_offers_and_explains_exactly_these():
    assert set(Strategy.values) == set(STRATEGIES) == set(strategy_help.STRATEGIES)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_single_candidate_is_chosen(strategy):
    context = PickContext(affinity_key=b"a", prefix=b"p" * 300)

    assert picks(strategy, [candidate("a", running=50)], times=3, context=context) == {"a": 3}


def test_the_fewest_requests_win():
    found = picks("least_requests", [candidate("a", running=3), candidate("b", running=1)])

    assert found == {"b": 1000}


def test_requests_count_for_the_size_of_their_endpoint():
    large = candidate("large", running=50, max_concurrency=100)

    assert picks("least_requests", [large, candidate("s", running=6, max_concurrency=10)]) == {
        "large": 1000
    }


def test_round_robin_takes_turns():
    found = picks("round_robin", [candidate(name) for name in "abc"], times=999)

    assert found == {"a": 333, "b": 333, "c": 333}


@pytest.mark.parametrize("strategy", ["weighted_round_robin", "random"])
def test_weights_divide_the_requests(strategy):
    found = picks(strategy, [candidate("a", weight=1), candidate("b", weight=3)], times=4000)

    assert found["b"] / found["a"] == pytest.approx(3, rel=0.1)


def test_weighted_round_robin_is_even_at_any_time():
    two = [candidate("a", weight=1), candidate("b", weight=3)]

    for times in range(4, 100):
        assert abs(picks("weighted_round_robin", two, times=times)["a"] - times / 4) < 3


def test_of_two_choices_the_worse_is_never_taken():
    found = picks(
        "two_choices", [candidate("a", running=9), candidate("b"), candidate("c", running=5)]
    )

    assert found["b"] > found["c"] > found["a"]


def test_weighted_least_requests_counts_by_weight():
    found = picks(
        "weighted_least_requests", [candidate("a", running=2), candidate("b", running=5, weight=4)]
    )

    assert found == {"b": 1000}


def test_the_fastest_first_token_wins_until_it_has_more_to_do():
    fast, slow = candidate("fast", ttft=0.1, running=4), candidate("slow", ttft=1.0)
    assert picks("lowest_latency", [fast, slow], times=1) == {"fast": 1}

    fast.in_flight = 10
    fast.recompute_scores()
    assert picks("lowest_latency", [fast, slow], times=1) == {"slow": 1}


def test_of_two_choices_the_same_one_is_never_drawn_twice():
    assert picks("two_choices", [candidate("a", running=9), candidate("b")]) == {"b": 1000}


def test_a_new_endpoint_gets_no_more_until_it_has_answered():
    known, new = candidate("known", ttft=0.1, running=4), candidate("new", running=1)
    assert picks("lowest_latency", [known, new]) == {"known": 1000}

    new.record_ttft(0.05)
    assert picks("lowest_latency", [known, new]) == {"new": 1000}


def test_a_new_endpoint_is_tried():
    assert picks("lowest_latency", [candidate("a", ttft=0.1), candidate("new")]) == {"new": 1000}


def keys(count=2000):
    return [f"conversation {number}".encode() for number in range(count)]


def homes(strategy, candidates):
    field = candidates if isinstance(candidates, CandidateSet) else CandidateSet(candidates)
    rng = random.Random(7)
    choose = STRATEGIES[strategy]
    return {key: choose(field, PickContext(affinity_key=key), rng).endpoint.id for key in keys()}


def test_a_key_always_goes_to_the_same_place():
    ten = [candidate(f"e{number}") for number in range(10)]

    assert homes("consistent_hash", ten) == homes("consistent_hash", ten[::-1])


def test_without_one_of_ten_at_most_fifteen_percent_move():
    ten = [candidate(f"e{number}") for number in range(10)]
    before, after = homes("consistent_hash", ten), homes("consistent_hash", ten[1:])

    moved = sum(before[key] != after[key] for key in before)
    assert moved <= 0.15 * len(before)
    assert all(before[key] == "e0" for key in before if before[key] != after[key])


def test_who_is_left_out_for_a_while_moves_only_its_own_keys_and_gets_them_back():
    ten = [candidate(f"e{number}") for number in range(10)]
    names = [each.endpoint.id for each in ten]
    before = homes("consistent_hash", CandidateSet(ten, places=names))

    without = homes("consistent_hash", CandidateSet(ten[1:], places=names))

    moved = {key for key in before if before[key] != without[key]}
    assert {before[key] for key in moved} == {"e0"}
    assert len(moved) <= 0.15 * len(before)
    assert homes("consistent_hash", CandidateSet(ten[1:]).without({})) == without
    assert homes("consistent_hash", CandidateSet(ten, places=names)) == before


def test_no_place_gets_far_more_than_its_part():
    ten = [candidate(f"e{number}", max_concurrency=100) for number in range(10)]
    field, rng = CandidateSet(ten), random.Random(7)
    for key in keys(400):
        STRATEGIES["consistent_hash"](field, PickContext(affinity_key=key), rng).count(1)

    assert max(each.in_flight for each in ten) <= 40 * MAX_RELATIVE_LOAD + 3


def test_long_prompts_with_the_same_beginning_meet():
    three = [candidate(name) for name in "abc"]

    assert len(picks("prefix_affinity", three, context=PickContext(prefix=b"x" * 300))) == 1


def test_an_overloaded_place_loses_its_prefixes():
    three = [candidate(name, max_concurrency=10) for name in "abc"]
    (home,) = picks("prefix_affinity", three, context=PickContext(prefix=b"x" * 300), times=1)
    busy = next(each for each in three if each.endpoint.id == home)
    busy.in_flight = 9
    busy.recompute_scores()

    assert home not in picks("prefix_affinity", three, context=PickContext(prefix=b"x" * 300))


def test_queues_and_caches_of_engines_count():
    waiting = candidate("waiting", reported=ReportedLoad(waiting=50), max_concurrency=100)
    cached = candidate("cached", reported=ReportedLoad(kv=0.9))
    assert picks(
        "queue_aware", [waiting, cached, candidate("free", reported=ReportedLoad(kv=0.1))]
    ) == {"free": 1000}


def test_a_cold_endpoint_gets_less():
    cold, warm = candidate("cold", warmth=0.1, running=1), candidate("warm", running=5)

    assert picks("least_requests", [cold, warm]) == {"warm": 1000}
