"""Exported manifests behave like the policy; otherwise the export is rejected with the reason."""

from dataclasses import replace
from datetime import date, time

import pytest

from inference.errors import PolicyRefused
from inference.scaling.decision.schedules import Hours
from inference.scaling.decision.types import Behavior, Bounds, Limit, Rules, SignalTarget
from inference.scaling.policies.manifests import manifest_of

RULES = Rules(
    targets=(SignalTarget(kind="waiting", target=10),),
    bounds=Bounds(min_replicas=1, max_replicas=10),
)
WEEK = frozenset(range(7))
DAY = Hours(
    name="day", zone="Europe/Berlin", weekdays=frozenset({0, 6}),
    starts=time(8), ends=time(18, 30), min_replicas=4, max_replicas=10,
)  # fmt: skip
FLAVOURS = ("hpa", "keda")


def spec(rules=RULES, *schedules, flavour="keda"):
    settings = {"name": "engine", "namespace": "engines", "kind": "Deployment", "flavour": flavour}
    manifest = manifest_of(
        pool="small", rules=rules, schedules=schedules, settings=settings, prometheus_url="http://p"
    )
    return manifest["spec"]


def behavior(rules, flavour):
    found = spec(rules, flavour=flavour)
    return (
        found["behavior"]
        if flavour == "hpa"
        else found["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    )


def crons(*schedules, rules=RULES):
    triggers = spec(rules, *schedules)["triggers"]
    return [each["metadata"] for each in triggers if each["type"] == "cron"]


def test_a_missing_signal_is_no_zero():
    triggers = spec(replace(RULES, idle_seconds=600))["triggers"]
    assert [each["metadata"]["ignoreNullValues"] for each in triggers] == ["false", "false"]


@pytest.mark.parametrize(
    ("min_replicas", "idle", "counts"),
    [
        (1, None, (None, 1)),
        (3, None, (None, 3)),
        (1, 600, (None, 0)),
        (3, 600, (0, 3)),
    ],
)
def test_a_pool_wakes_with_its_minimum(min_replicas, idle, counts):
    rules = replace(
        RULES, bounds=Bounds(min_replicas=min_replicas, max_replicas=10), idle_seconds=idle
    )
    found = spec(rules)
    assert (found.get("idleReplicaCount"), found["minReplicaCount"]) == counts


def test_a_schedule_raises_the_least():
    (found,) = crons(DAY)
    assert found == {
        "timezone": "Europe/Berlin",
        "start": "0 8 * * 0,1",
        "end": "30 18 * * 0,1",
        "desiredReplicas": "4",
    }


@pytest.mark.parametrize(
    ("starts", "ends", "weekdays", "start", "end"),
    [
        (time(18), time(0), {0, 1}, "0 18 * * 1,2", "0 0 * * 2,3"),
        (time(22), time(6), {5}, "0 22 * * 6", "0 6 * * 0"),
        (time(22), time(6), {6}, "0 22 * * 0", "0 6 * * 1"),
        (time(0), time(0), {4}, "0 0 * * 5", "0 0 * * 6"),
    ],
)
def test_a_schedule_may_end_on_the_next_day(starts, ends, weekdays, start, end):
    hours = replace(DAY, starts=starts, ends=ends, weekdays=frozenset(weekdays))
    (found,) = crons(hours)
    assert (found["start"], found["end"]) == (start, end)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"min_replicas": 1}, "only raise"),
        ({"min_replicas": 0}, "only raise"),
        ({"max_replicas": 8}, "no max_replicas"),
        ({"max_replicas": 20}, "no max_replicas"),
        ({"first_day": date(2026, 12, 24)}, "no dates"),
        ({"last_day": date(2026, 12, 31)}, "no dates"),
        ({"starts": time(8), "ends": time(8), "weekdays": WEEK}, "have an end"),
    ],
)
@pytest.mark.parametrize("idle", [None, 600])
def test_a_schedule_that_keda_cannot_keep_is_refused(facts, words, idle):
    rules = replace(RULES, bounds=Bounds(min_replicas=2, max_replicas=10), idle_seconds=idle)
    with pytest.raises(PolicyRefused, match=words):
        spec(rules, replace(DAY, **facts))


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_without_limits_every_change_is_allowed(flavour):
    free = replace(RULES, up=Behavior(), down=Behavior(window=300))
    found = behavior(free, flavour)
    for way in ("scaleUp", "scaleDown"):
        assert found[way]["policies"] == [{"type": "Pods", "value": 10, "periodSeconds": 15}]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(kind="percent", value=100, seconds=1801), "at most 1800 seconds"),
        (Limit(kind="replicas", value=4, seconds=3600), "at most 1800 seconds"),
        (Limit(kind="percent", value=0, seconds=15), "1 or more"),
    ],
)
def test_limits_that_kubernetes_does_not_know_are_refused(flavour, way, limit, words):
    rules = replace(RULES, **{way: Behavior(limits=(limit,))})
    with pytest.raises(PolicyRefused, match=words) as caught:
        spec(rules, flavour=flavour)
    assert caught.value.param.startswith(f"{way}_{limit.kind}")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_half_an_hour_is_a_period_that_kubernetes_takes(flavour):
    limit = Limit(kind="percent", value=100, seconds=1800)
    found = behavior(replace(RULES, up=Behavior(limits=(limit,))), flavour)
    assert found["scaleUp"]["policies"][0]["periodSeconds"] == 1800


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("target", [0.0, 0.0001, 0.0004, 0.0015, 0.01234])
def test_targets_that_kubernetes_would_change_are_refused(flavour, target):
    rules = replace(RULES, targets=(SignalTarget(kind="kv_cache", target=target),))
    with pytest.raises(PolicyRefused, match="thousandths"):
        spec(rules, flavour=flavour)


@pytest.mark.parametrize(
    ("target", "threshold"),
    [(0.001, "0.001"), (0.25, "0.25"), (70.5, "70.5"), (1_234_567, "1234567"), (10, "10")],
)
def test_other_targets_are_told_as_they_are(target, threshold):
    rules = replace(RULES, targets=(SignalTarget(kind="kv_cache", target=target),))
    assert spec(rules)["triggers"][0]["metadata"]["threshold"] == threshold


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("tolerance", [0.0, 0.05, 0.2])
def test_a_tolerance_of_its_own_is_refused(flavour, tolerance):
    with pytest.raises(PolicyRefused, match="one tolerance"):
        spec(replace(RULES, tolerance=tolerance), flavour=flavour)
