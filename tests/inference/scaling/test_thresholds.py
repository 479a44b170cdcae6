"""Thresholds, doubling, and scaling to zero."""

import pytest

from inference.scaling.decision.decide import decide
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
CLASSIC = (
    SignalTarget(kind="cpu", up=70, down=30),
    SignalTarget(kind="memory", up=80, down=40),
    SignalTarget(kind="waiting", up=100, down=20),
)
DOUBLING = (SignalTarget(kind="waiting", up=50, down=10),)


def decided(replicas, *targets, algorithm="thresholds", facts=None, **readings):
    facts = {
        "bounds": Bounds(min_replicas=1, max_replicas=16),
        "up": AT_ONCE,
        "down": AT_ONCE,
        **(facts or {}),
    }
    seen_facts = {name: facts.pop(name) for name in ("idle_since", "is_wanted") if name in facts}
    found_readings = {
        kind: Reading(value=value, reporting=replicas) for kind, value in readings.items()
    }
    policy = Rules(algorithm=algorithm, targets=targets, **facts)
    seen = Observation(
        now=NOW, replicas=replicas, ready=replicas, readings=found_readings, **seen_facts
    )
    return decide(policy, seen, ScalingHistory(proposals=((NOW - 1e6, 0),)))


@pytest.mark.parametrize(
    ("cpu", "memory", "waiting", "desired"),
    [
        (71, 10, 0, 4),
        (10, 81, 0, 4),
        (10, 10, 301, 4),
        (70, 80, 300, 3),  # not above
        (29, 39, 59, 2),
        (30, 39, 59, 3),  # not below
        (29, 39, 61, 3),
        (99, 99, 999, 4),  # one step, however much
    ],
)
def test_out_when_any_and_in_when_all(cpu, memory, waiting, desired):
    assert decided(3, *CLASSIC, cpu=cpu, memory=memory, waiting=waiting).desired == desired


def test_a_missing_signal_never_shrinks_and_does_not_keep_from_growing():
    assert decided(3, *CLASSIC, cpu=10, waiting=0).desired == 3
    assert decided(3, *CLASSIC, cpu=90).desired == 4
    assert decided(3, *CLASSIC).desired == 3


@pytest.mark.parametrize(
    ("replicas", "waiting", "desired"),
    [(2, 101, 4), (2, 100, 2), (10, 5000, 16), (8, 79, 4), (8, 80, 8), (1, 0, 1), (3, 0, 1)],
)
def test_doubling_and_halving(replicas, waiting, desired):
    assert decided(replicas, *DOUBLING, algorithm="step", waiting=waiting).desired == desired


def test_a_step_can_be_of_several_replicas():
    assert decided(3, *CLASSIC, cpu=90, facts={"step": 5}).desired == 8


def test_the_sentence_names_the_signal_that_decided():
    assert decided(3, *CLASSIC, cpu=90, memory=1).reason == "CPU 90 % is above 70 %: 4 replicas."
    stays = decided(3, *CLASSIC, cpu=10, memory=50, waiting=0)
    assert stays.reason == "Memory 50 % is not below 40 %. 3 replicas stay."


TRACKING = SignalTarget(kind="in_flight", target=10)


def resting(replicas, *, quiet=None, wanted=False, min_replicas=1, schedule="", **readings):
    facts = {
        "idle_seconds": 600,
        "is_wanted": wanted,
        "idle_since": None if quiet is None else NOW - quiet,
        "bounds": Bounds(min_replicas=min_replicas, max_replicas=5, schedule=schedule),
    }
    return decided(
        replicas, TRACKING, algorithm="target_tracking", facts=facts, **{"in_flight": 0, **readings}
    )


@pytest.mark.parametrize(("quiet", "desired"), [(None, 1), (599, 1), (600, 0), (9999, 0)])
def test_an_idle_pool_goes_to_zero_after_its_time(quiet, desired):
    assert resting(1, quiet=quiet).desired == desired


def test_it_stays_at_zero_until_somebody_asks():
    assert resting(0, quiet=9999).desired == 0
    woken = resting(0, quiet=9999, wanted=True)
    assert (woken.desired, woken.reason) == (
        1,
        "Requests arrive: it starts 1 replica.",
    )
    assert resting(0, waiting=3).desired == 1


def test_it_wakes_with_the_least_that_its_policy_wants():
    assert resting(0, wanted=True, min_replicas=3).desired == 3


def test_a_schedule_keeps_it_awake():
    assert resting(1, quiet=9999, min_replicas=2, schedule="sale").desired == 2
    assert resting(0, min_replicas=2, schedule="sale").desired == 2


def test_a_schedule_of_nothing_lets_it_rest():
    assert resting(1, quiet=9999, min_replicas=0, schedule="night").desired == 0


def test_it_goes_down_step_by_step_before_it_rests():
    assert resting(4, quiet=9999).desired == 1
