"""A rehearsal predicts the effects of a policy, quickly and without optimism."""

import time

import pytest

from inference.scaling.decision.types import Behavior, Bounds, Rules, SignalTarget
from inference.scaling.policies.mapping import Signal
from inference.scaling.policies.presets import DEFAULT, PRESETS, signals_for
from inference.scaling.rehearsal.load_profiles import LOAD_PROFILES, moments_of
from inference.scaling.rehearsal.simulation import (
    Capacity,
    Moment,
    SimulatedPool,
    oracle_hours,
    quantiles,
    rehearse,
)

NOW = 1_795_250_000.0
CAPACITY = Capacity(requests_per_second=4, slots=16, start_seconds=60)
WAIT_TARGET_SECONDS = 5


def steady(rate, *, steps=240, **facts):
    return [Moment(at=NOW + 15 * step, arrivals=rate, **facts) for step in range(steps)]


def policy(preset=DEFAULT, **facts):
    signals = (Signal(**each) for each in signals_for(PRESETS[preset], slots=CAPACITY.slots))
    usual = {"targets": tuple(each.as_target() for each in signals)}
    usual |= {"bounds": Bounds(min_replicas=1, max_replicas=500)}
    rules = Rules(**{**usual, **facts})
    return lambda _: rules


def test_enough_replicas_never_make_anybody_wait():
    found = rehearse(policy(), steady(8), capacity=CAPACITY, initial_replicas=3)
    assert (found.wait_p95, found.wait_max, found.changes) == (0, 0, 0)
    assert found.replica_hours == 3
    assert found.requests == 8 * 3600


def test_too_few_make_them_wait_until_more_have_started():
    found = rehearse(policy(), steady(40, steps=480), capacity=CAPACITY, initial_replicas=1)
    assert found.wait_max > 60
    assert found.peak_replicas >= 10
    waits = [point.wait for point in found.points]
    assert waits[-1] == 0


def test_whoever_waits_is_served_by_the_replicas_that_come_meanwhile():
    """One replica serves 60 of the 120 requests of a step; after four steps there are ten."""
    found = rehearse(policy(), steady(8, steps=12), capacity=CAPACITY, initial_replicas=1)
    by_one_alone = 15 * (1 + 2 + 3 + 4)
    assert 0 < sum(point.wait for point in found.points) < by_one_alone
    assert found.points[0].wait == 15


@pytest.mark.parametrize(("ago", "served"), [(0, 60), (7.5, 90), (15, 120), (40, 120)])
def test_a_replica_serves_from_the_moment_it_is_ready(ago, served):
    """The load of a step arrives in the 15 seconds before its time; a replica serves 60 of it."""
    pool = SimulatedPool(replicas=2, ready=1)
    pool.starting.append((NOW - ago, 1))
    pool.serve(Moment(at=NOW, arrivals=100), CAPACITY)
    assert pool.served * 15 == pytest.approx(served)
    assert pool.ready == 2


def test_a_longer_start_is_a_longer_wait():
    slow = Capacity(requests_per_second=4, slots=16, start_seconds=600)
    quick, long = (
        rehearse(policy(), steady(40, steps=480), capacity=each, initial_replicas=1)
        for each in (CAPACITY, slow)
    )
    assert long.wait_p95 > quick.wait_p95


def test_bounds_that_are_too_tight_show_in_the_wait():
    tight = policy(bounds=Bounds(min_replicas=1, max_replicas=2))
    found = rehearse(tight, steady(40), capacity=CAPACITY, initial_replicas=1)
    assert found.peak_replicas == 2
    assert found.wait_p50 > 600


def test_a_pool_that_rests_costs_nothing_and_wakes():
    quiet = steady(0, steps=200) + [
        Moment(at=NOW + 15 * step, arrivals=2) for step in range(200, 240)
    ]
    found = rehearse(policy(idle_seconds=900), quiet, capacity=CAPACITY, initial_replicas=1)
    asleep = [point for point in found.points if NOW + 915 < point.at < NOW + 2990]
    assert {point.replicas for point in asleep} == {0}
    assert 0 < found.wait_max <= 75
    assert found.points[-1].wait == 0


def test_what_there_was_then_is_compared():
    found = rehearse(
        policy(), steady(8, replicas=6), capacity=CAPACITY, replica_cost=2.5, initial_replicas=3
    )
    assert (found.recorded_replica_hours, found.recorded_cost, found.cost) == (6, 15, 7.5)


def test_waits_count_by_how_many_waited():
    assert quantiles([0, 10], [99, 1], at=(0.5, 0.95, 0.995)) == [0, 0, 10]
    assert quantiles([], [], at=(0.5,)) == [0]


def test_an_empty_span_is_nothing():
    assert rehearse(policy(), [], capacity=CAPACITY).changes == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", LOAD_PROFILES)
def test_every_shape_can_be_rehearsed(name):
    load = moments_of(LOAD_PROFILES[name], base_request_rate=8, begins=NOW)
    found = rehearse(policy(), load, capacity=CAPACITY, initial_replicas=3)
    assert found.hours == LOAD_PROFILES[name].seconds / 3600
    assert len(found.points) <= 240
    assert all(moment.arrivals > 0 for moment in load)


@pytest.mark.slow
@pytest.mark.parametrize("ordinary", [7, 8, 40])
def test_the_default_preset_survives_a_tenfold_sale_at_little_cost(ordinary):
    """95 % of requests are below the target, with at most 1.3 times the oracle's hours."""
    load = moments_of(LOAD_PROFILES["sale"], base_request_rate=ordinary, begins=NOW)
    found = rehearse(policy(), load, capacity=CAPACITY, initial_replicas=-(-ordinary // 4) + 1)
    assert found.wait_p95 < WAIT_TARGET_SECONDS
    assert found.replica_hours <= 1.3 * oracle_hours(load, capacity=CAPACITY)


@pytest.mark.slow
def test_a_cautious_policy_costs_more_and_a_hasty_one_changes_more():
    load = moments_of(LOAD_PROFILES["wave"], base_request_rate=40, begins=NOW)
    hasty = policy(down=Behavior(), tolerance=0.0)
    cautious = policy(down=Behavior(window=3600))
    one, two = (
        rehearse(each, load, capacity=CAPACITY, initial_replicas=10) for each in (hasty, cautious)
    )
    assert one.replica_hours < two.replica_hours
    assert one.changes > two.changes


def seconds_of_a_rehearsal(days):
    """Return the CPU seconds of a rehearsal; wall time depends on the load of the machine."""
    load = moments_of(
        LOAD_PROFILES["wave"]._replace(seconds=days * 86_400), base_request_rate=8, begins=NOW
    )
    assert len(load) == days * 5_760
    began = time.thread_time()
    rehearse(policy(), load, capacity=CAPACITY, initial_replicas=3)
    return time.thread_time() - began


@pytest.mark.slow
def test_seven_days_take_seven_times_as_long_as_one():
    """`make bench` measures the absolute time."""
    one = min(seconds_of_a_rehearsal(1) for _ in range(3))
    assert seconds_of_a_rehearsal(7) < 2 * 7 * one


def test_signals_that_nobody_recorded_take_nothing_away():
    blind = policy(
        targets=(SignalTarget(kind="gpu", target=50), SignalTarget(kind="waiting", target=4))
    )
    assert rehearse(blind, steady(1), capacity=CAPACITY, initial_replicas=5).peak_replicas == 5
    seen = steady(1, replicas=5, shares={"gpu": 5.0})
    assert rehearse(blind, seen, capacity=CAPACITY, initial_replicas=5).replica_hours < 5
