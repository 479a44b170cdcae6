"""The behavior of policies: the examples of Kubernetes' documentation, and further cases."""

import pytest

from inference.scaling.decision.decide import decide, with_change
from inference.scaling.decision.types import (
    Behavior,
    Bounds,
    Limit,
    Observation,
    Reading,
    Rules,
    ScalingHistory,
    SignalTarget,
)

NOW = 1_795_250_000.0
AT_ONCE = Behavior()


def rules(**facts):
    usual = {"bounds": Bounds(min_replicas=1, max_replicas=200), "up": AT_ONCE, "down": AT_ONCE}
    return Rules(targets=(SignalTarget(kind="waiting", target=1),), **{**usual, **facts})


def seen(replicas, wanted, *, now=NOW):
    readings = {"waiting": Reading(value=wanted, reporting=replicas)}
    return Observation(now=now, replicas=replicas, ready=replicas, readings=readings)


def percent(value, seconds=60):
    return Limit(kind="percent", value=value, seconds=seconds)


def pods(value, seconds=60):
    return Limit(kind="replicas", value=value, seconds=seconds)


def follow(policy, replicas, wanted, *, steps, every=60):
    """Return the replicas after each evaluation; decisions are applied at once."""
    history, path = ScalingHistory(proposals=((NOW, wanted),)), []
    for step in range(steps):
        now = NOW + step * every
        found = decide(policy, seen(replicas, wanted, now=now), history)
        history = found.history
        if found.desired != replicas:
            history = with_change(history, found.desired - replicas, now=now)
        replicas = found.desired
        path.append(replicas)
    return path


def test_ten_per_cent_while_there_are_many_and_four_at_a_time_below_forty():
    shrinking = Behavior(limits=(pods(4), percent(10)))
    path = follow(rules(down=shrinking), 80, 10, steps=14)
    assert path == [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10]


def test_the_limit_that_allows_least_can_be_chosen():
    shrinking = Behavior(limits=(pods(4), percent(10)), select="min")
    assert follow(rules(down=shrinking), 80, 1, steps=1) == [76]


def test_a_direction_can_be_switched_off():
    found = decide(
        rules(down=Behavior(select="disabled")),
        seen(9, 1),
        ScalingHistory(proposals=((NOW - 1, 1),)),
    )
    assert (found.desired, found.limited_by) == (9, "disabled")


def test_the_default_doubles_or_adds_four_each_quarter_of_a_minute():
    usual = Rules(
        targets=(SignalTarget(kind="waiting", target=1),),
        bounds=Bounds(min_replicas=1, max_replicas=100),
    )
    assert follow(usual, 1, 60, steps=5, every=15) == [5, 10, 20, 40, 60]


def test_what_came_within_the_period_counts_against_its_limit():
    growing = Behavior(limits=(pods(4, seconds=60),))
    assert follow(rules(up=growing), 1, 50, steps=9, every=15) == [5, 5, 5, 5, 9, 9, 9, 9, 13]


def test_shrinking_waits_until_the_whole_window_wants_it():
    policy = rules(down=Behavior(window=300))
    history = ScalingHistory(proposals=((NOW, 10),))
    path, replicas = [], 10
    for step in range(1, 22):
        found = decide(policy, seen(replicas, 2, now=NOW + 15 * step), history)
        history, replicas = found.history, found.desired
        path.append(replicas)
    assert path == [10] * 19 + [2, 2]


def test_growing_can_wait_too_and_takes_the_smallest_proposal_of_its_window():
    policy = rules(up=Behavior(window=60))
    history = ScalingHistory(proposals=((NOW - 45, 5), (NOW - 30, 3)))
    assert decide(policy, seen(2, 9), history).desired == 3


def test_one_quiet_moment_changes_nothing_and_says_so():
    found = decide(
        rules(down=Behavior(window=300)), seen(5, 1), ScalingHistory(proposals=((NOW - 15, 5),))
    )
    assert (found.desired, found.limited_by, found.proposed) == (5, "window", 1)
    assert "5 minutes" in found.reason


def test_whoever_begins_without_a_memory_does_not_shrink_a_pool_at_once():
    """A stopped Celery beat, a lost state and a moved clock have the same effect."""
    policy = rules(down=Behavior(window=300))
    assert decide(policy, seen(8, 1), ScalingHistory()).desired == 8
    assert decide(policy, seen(8, 1), ScalingHistory(proposals=((NOW - 9999, 1),))).desired == 8


def test_a_clock_that_went_back_makes_no_memory_last_for_ever():
    policy = rules(down=Behavior(window=300))
    ahead = ScalingHistory(proposals=((NOW + 86_400, 8),), changes=((NOW + 86_400, 3),))
    found = decide(policy, seen(8, 1), ahead)
    assert found.desired == 8
    assert max(at for at, _ in found.history.proposals) == NOW
    assert max((at for at, _ in found.history.changes), default=NOW) == NOW


def test_after_a_change_it_rests():
    policy = rules(up=Behavior(cooldown=60))
    history = ScalingHistory(proposals=((NOW, 5),), changes=((NOW - 20, 1),))
    found = decide(policy, seen(3, 9), history)
    assert (found.desired, found.limited_by) == (3, "cooldown")
    assert "40 seconds more" in found.reason
    assert decide(policy, seen(3, 9, now=NOW + 41), history).desired == 9


@pytest.mark.parametrize(
    ("replicas", "min_replicas", "max_replicas", "desired"), [(9, 1, 4, 4), (1, 3, 9, 3)]
)
def test_a_pool_outside_its_bounds_comes_back_at_once(
    replicas, min_replicas, max_replicas, desired
):
    slowly = Behavior(window=300, limits=(pods(1),))
    bounds = Bounds(min_replicas=min_replicas, max_replicas=max_replicas, schedule="sale")
    found = decide(
        rules(up=slowly, down=slowly, bounds=bounds), seen(replicas, replicas), ScalingHistory()
    )
    assert (found.desired, found.limited_by) == (desired, "bounds")
    assert "The schedule 'sale'" in found.reason


def test_the_memory_stays_small_while_nothing_changes():
    history, policy = ScalingHistory(), rules(down=Behavior(window=300))
    for step in range(100):
        history = decide(policy, seen(5, 5, now=NOW + 15 * step), history).history
    assert len(history.proposals) == 1
