"""Properties of every policy and every load."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
MOST = 60

limits = st.builds(
    Limit,
    kind=st.sampled_from(["replicas", "percent"]),
    value=st.integers(1, 200),
    seconds=st.sampled_from([15.0, 60.0, 300.0]),
)
directions = st.builds(
    Behavior,
    window=st.sampled_from([0.0, 60.0, 300.0]),
    limits=st.lists(limits, max_size=2).map(tuple),
    select=st.sampled_from(["max", "min", "disabled"]),
    cooldown=st.sampled_from([0.0, 45.0]),
)
bounds = st.tuples(st.integers(1, MOST), st.integers(1, MOST)).map(
    lambda pair: Bounds(min_replicas=min(pair), max_replicas=max(pair))
)
targets = {
    "target_tracking": (
        SignalTarget(kind="waiting", target=4),
        SignalTarget(kind="kv_cache", target=70),
    ),
    "thresholds": (
        SignalTarget(kind="waiting", up=20, down=5),
        SignalTarget(kind="kv_cache", up=80, down=30),
    ),
    "step": (SignalTarget(kind="waiting", up=50, down=10),),
}
policies = st.builds(
    lambda algorithm, **facts: Rules(algorithm=algorithm, targets=targets[algorithm], **facts),
    algorithm=st.sampled_from(sorted(targets)),
    up=directions,
    down=directions,
    bounds=bounds,
    idle_seconds=st.sampled_from([None, 60.0]),
)
loads = st.tuples(
    st.one_of(st.none(), st.integers(0, 2000)), st.one_of(st.none(), st.integers(0, 100))
)
silent_loads = st.tuples(st.none(), st.one_of(st.none(), st.integers(0, 100)))
known_loads = st.tuples(st.integers(0, 2000), st.integers(0, 100))
memories = st.builds(
    ScalingHistory,
    proposals=st.lists(
        st.tuples(st.floats(NOW - 400, NOW + 50), st.integers(0, MOST)), max_size=6
    ).map(tuple),
    changes=st.lists(st.tuples(st.floats(NOW - 400, NOW + 50), st.integers(-9, 9)), max_size=4).map(
        tuple
    ),
)
counts = st.integers(0, MOST + 5)


def seen(replicas, load, *, now=NOW, ready=None, **facts):
    waiting, cache = load
    readings = {
        "waiting": Reading(value=waiting, reporting=replicas),
        "kv_cache": Reading(value=cache, reporting=replicas),
    }
    ready = replicas if ready is None else min(ready, replicas)
    return Observation(now=now, replicas=replicas, ready=ready, readings=readings, **facts)


@given(policies, counts, loads, memories, st.sampled_from([None, 0, 99]))
def test_it_is_never_outside_its_bounds(policy, replicas, load, history, quiet):
    idle_since = None if quiet is None else NOW - quiet
    now = seen(replicas, load, is_wanted=quiet == 0, idle_since=idle_since)
    desired = decide(policy, now, history).desired
    rests = policy.idle_seconds is not None and desired == 0
    assert rests or policy.bounds.min_replicas <= desired <= policy.bounds.max_replicas


@given(policies, counts, known_loads, known_loads, memories)
def test_more_load_never_means_fewer_replicas(policy, replicas, load, other, history):
    less = tuple(map(min, zip(load, other, strict=True)))
    more = tuple(map(max, zip(load, other, strict=True)))
    few = decide(policy, seen(replicas, less), history).desired
    assert few <= decide(policy, seen(replicas, more), history).desired


@given(policies, counts, counts, silent_loads, memories)
def test_a_missing_signal_never_takes_a_replica_away(policy, replicas, ready, load, history):
    replicas = policy.bounds.clamp(replicas)
    history = replace(history, proposals=tuple((at, replicas) for at, _ in history.proposals))
    now = seen(replicas, load, ready=ready)
    assert decide(policy, now, history).desired >= replicas


@given(policies, counts, loads, memories)
def test_it_never_goes_further_at_once_than_is_allowed(policy, replicas, load, history):
    replicas = policy.bounds.clamp(replicas)
    history = replace(history, changes=())
    moved = decide(policy, seen(replicas, load), history).desired - replicas
    direction = policy.up if moved > 0 else policy.down
    if moved == 0 or not direction.limits:
        return
    steps = [
        limit.value if limit.kind == "replicas" else math.ceil(replicas * limit.value / 100)
        for limit in direction.limits
    ]
    assert direction.select != "disabled"
    assert abs(moved) <= (max(steps) if direction.select == "max" else min(steps))


def run(policy, replicas, load_of, *, steps):
    """Return the replicas of a pool whose decisions are applied at once."""
    history, path = ScalingHistory(), []
    for step in range(steps):
        now = NOW + 15 * step
        found = decide(policy, seen(replicas, load_of(step, replicas), now=now), history)
        history = found.history
        if found.desired != replicas:
            history = with_change(history, found.desired - replicas, now=now)
        replicas = found.desired
        path.append(replicas)
    return path


@given(st.integers(1, 200), st.integers(1, MOST))
def test_it_settles_where_the_load_is_steady(load, begins):
    policy = Rules(
        targets=(SignalTarget(kind="waiting", target=4),),
        bounds=Bounds(min_replicas=1, max_replicas=MOST),
    )
    path = run(policy, begins, lambda *_: (load, None), steps=60)
    assert len(set(path[-20:])) == 1
    needed = math.ceil(load / 4)
    assert path[-1] == min(MOST, needed) or abs(load / (4 * path[-1]) - 1) <= 0.1 + 1e-6


@pytest.mark.slow
@given(st.integers(5, 40), st.lists(st.floats(-0.1, 0.1), min_size=80, max_size=80))
def test_noise_of_ten_per_cent_does_not_make_it_flap(replicas, noise):
    """A pool at its target stays there."""
    policy = Rules(
        targets=(SignalTarget(kind="waiting", target=4),),
        bounds=Bounds(min_replicas=1, max_replicas=MOST),
    )
    path = run(policy, replicas, lambda step, _: (4 * replicas * (1 + noise[step]), None), steps=80)
    assert set(path) == {replicas}


@given(st.integers(1, 1000), st.lists(st.floats(-0.1, 0.1), min_size=60, max_size=60))
def test_noise_never_makes_it_go_up_and_down_within_a_window(load, noise):
    policy = Rules(
        targets=(SignalTarget(kind="waiting", target=4),),
        bounds=Bounds(min_replicas=1, max_replicas=300),
    )
    path = run(policy, 1, lambda step, _: (load * (1 + noise[step]), None), steps=60)
    turns = [b - a for a, b in pairwise(path[20:]) if a != b]
    assert sum((x > 0) != (y > 0) for x, y in pairwise(turns)) <= 2
