"""Target tracking against the worked examples of Kubernetes' HorizontalPodAutoscaler."""

from dataclasses import replace

import pytest

from inference.scaling.decision.decide import decide
from inference.scaling.decision.target_tracking import propose
from inference.scaling.decision.types import (
    Behavior,
    Bounds,
    Observation,
    Reading,
    Rules,
    ScalingHistory,
    SignalTarget,
)

NOW = 1_795_250_000.0
AT_ONCE = Behavior()


def rules(*targets, **facts):
    usual = {"bounds": Bounds(min_replicas=1, max_replicas=100), "up": AT_ONCE, "down": AT_ONCE}
    return Rules(targets=targets, **{**usual, **facts})


def seen(replicas, ready=None, **readings):
    return Observation(
        now=NOW,
        replicas=replicas,
        ready=replicas if ready is None else ready,
        readings={
            kind: each if isinstance(each, Reading) else Reading(value=each, reporting=replicas)
            for kind, each in readings.items()
        },
    )


CPU = SignalTarget(kind="cpu", target=50)
WAITING = SignalTarget(kind="waiting", target=10)


@pytest.mark.parametrize(
    ("replicas", "mean", "wanted"),
    [
        (3, 100, 6),  # twice the target: twice as many
        (4, 25, 2),  # half of it: half as many
        (1, 51, 1),
        (5, 60, 6),
        (3, 90, 6),  # 5.4, rounded up
    ],
)
def test_the_ratio_of_value_and_target_is_the_ratio_of_replicas(replicas, mean, wanted):
    assert propose(rules(CPU), seen(replicas, cpu=mean)).replicas == wanted


@pytest.mark.parametrize(("mean", "wanted"), [(45, 10), (55, 10), (44.9, 9), (55.1, 12)])
def test_within_ten_per_cent_nothing_changes(mean, wanted):
    assert propose(rules(CPU), seen(10, cpu=mean)).replicas == wanted


@pytest.mark.parametrize(
    ("replicas", "total", "wanted"), [(1, 30, 3), (1, 31, 4), (5, 50, 5), (5, 54, 5), (5, 10, 1)]
)
def test_a_total_is_divided_by_what_one_replica_should_have(replicas, total, wanted):
    assert propose(rules(WAITING), seen(replicas, waiting=total)).replicas == wanted


def test_a_total_of_nothing_wants_no_replica_and_the_bounds_decide():
    assert (
        decide(rules(WAITING), seen(3, waiting=0), ScalingHistory(proposals=((0, 0),))).desired == 1
    )


def test_of_several_signals_the_largest_wins():
    assert propose(rules(CPU, WAITING), seen(2, cpu=25, waiting=70)).replicas == 7
    assert propose(rules(CPU, WAITING), seen(2, cpu=250, waiting=70)).replicas == 10


def test_a_missing_signal_keeps_the_pool_from_shrinking():
    found = propose(rules(CPU, WAITING), seen(4, cpu=Reading(value=None), waiting=10))
    assert found.replicas == 4
    assert "cpu" in found.reason.lower()


def test_a_missing_signal_does_not_keep_it_from_growing():
    assert propose(rules(CPU, WAITING), seen(4, waiting=90)).replicas == 9


def test_a_total_that_not_every_replica_told_of_may_grow_the_pool_but_not_shrink_it():
    part = Reading(value=10, reporting=3, is_lower_bound=True)
    assert propose(rules(WAITING), seen(4, waiting=part)).replicas == 4
    assert propose(rules(WAITING), seen(4, waiting=replace(part, value=90))).replicas == 9


def test_without_any_signal_everything_stays():
    assert propose(rules(CPU, WAITING), seen(4)).replicas == 4


@pytest.mark.parametrize(
    ("reporting", "mean", "wanted"),
    [
        (2, 100, 4),  # 4 replicas, two of them silent and so idle: exactly on target
        (3, 100, 6),
        (2, 10, 3),  # the silent ones count as on target: (10 + 10 + 50 + 50) / 4 = 30
        (3, 30, 3),  # (30 * 3 + 50) / 4 = 35
    ],
)
def test_replicas_that_tell_nothing_are_idle_to_grow_and_on_target_to_shrink(
    reporting, mean, wanted
):
    silent = Reading(value=mean, reporting=reporting)
    assert propose(rules(CPU), seen(4, cpu=silent)).replicas == wanted


@pytest.mark.parametrize(
    ("ready", "mean", "wanted"),
    [
        (1, 100, 3),  # 100 on one of three: a mean of 33 would even shrink, so it stays
        (2, 100, 4),  # (100 + 100 + 0) / 3 = 67
        (2, 25, 1),  # shrinking goes by those that are ready
    ],
)
def test_replicas_that_are_not_ready_do_not_exaggerate_growth(ready, mean, wanted):
    starting = Reading(value=mean, reporting=ready)
    assert propose(rules(CPU), seen(3, ready, cpu=starting)).replicas == wanted


def test_the_sentence_says_how_it_came_to_be():
    found = decide(rules(WAITING), seen(1, waiting=42), ScalingHistory())
    assert found.reason == "Waiting requests: 42 in all, 10 per replica: 5 replicas."
    assert (found.desired, found.limited_by) == (5, "")


def test_a_fraction_that_floats_make_a_hair_larger_costs_no_replica():
    assert (
        propose(rules(SignalTarget(kind="waiting", target=0.1)), seen(1, waiting=0.3)).replicas == 3
    )
