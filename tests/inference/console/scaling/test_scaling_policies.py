"""An invalid policy is rejected with a message, and the pool does not change."""

from datetime import time

import pytest
from django.core.exceptions import ValidationError

from inference.errors import ConfirmationNeeded, NameTaken, PolicyRefused
from inference.models import ScalingPolicy
from inference.scaling.policies import services as policy_services
from inference.scaling.policies.mapping import Signal, stored_hours, stored_signals
from inference.scaling.policies.presets import PRESETS, signals_for
from tests.fixtures.fleet.scaling import NOON, WAITING, at, engine, hours, make_policy

CPU = Signal(kind="cpu", target=50, query="avg(cpu)")


def refused(pool, *signals, schedules=(), **facts):
    with pytest.raises(PolicyRefused) as refusal:
        policy_services.save_policy(
            policy=ScalingPolicy(pool=pool, **facts),
            signals=signals,
            schedules=schedules,
            now=NOON,
        )
    assert not ScalingPolicy.objects.exists()
    return refusal.value.message


def test_a_policy_needs_a_signal(pool):
    assert "Add a signal" in refused(pool)


def test_an_unknown_signal_is_named_with_those_that_there_are(pool):
    message = refused(pool, Signal(kind="moon", target=1))
    assert "'moon' is not a signal" in message
    assert "kv_cache" in message


@pytest.mark.parametrize("target", [0, -1, None, float("nan")])
def test_a_target_is_above_zero(pool, target):
    assert "needs a target above 0" in refused(pool, Signal(kind="waiting", target=target))


def test_a_share_is_at_most_everything(pool):
    assert "100 %" in refused(pool, Signal(kind="kv_cache", target=101))


def test_a_signal_is_there_once(pool):
    assert "appears twice" in refused(pool, WAITING, WAITING)


@pytest.mark.parametrize(("up", "down"), [(10, 10), (5, 10), (None, 1), (10, None), (10, -1)])
def test_thresholds_leave_room_between_them(pool, up, down):
    signal = Signal(kind="waiting", up=up, down=down)
    assert "thresholds" in refused(pool, signal, algorithm="thresholds") or up is not None


def test_what_prometheus_measures_needs_prometheus_and_a_query(pool, settings):
    assert "TENANTRY_PROMETHEUS_URL" in refused(pool, CPU)
    settings.PROMETHEUS_URL = "http://prometheus:9090"
    assert "needs a Prometheus query" in refused(pool, Signal(kind="cpu", target=50))
    make_policy(pool, CPU)


def test_the_least_is_at_most_the_most(pool):
    assert "more than max_replicas" in refused(pool, WAITING, min_replicas=5, max_replicas=4)


def test_applying_needs_an_actuator(pool):
    assert "has no actuator" in refused(pool, WAITING, mode="apply")


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (hours(min_replicas=10), "more than max_replicas"),
        (hours(zone="Mars/Olympus"), "is not a time zone"),
        (hours(zone="../etc/passwd"), "is not a time zone"),
        (hours(weekdays=frozenset()), "choose weekdays"),
        (hours(weekdays=frozenset({7})), "choose weekdays"),
        (hours(max_replicas=100_000), "must be between 1"),
    ],
)
def test_a_schedule_is_possible(pool, schedule, message):
    assert message in refused(pool, WAITING, schedules=[schedule])


def test_schedules_do_not_overlap_and_the_sentence_says_when(pool):
    late = hours("late", starts=time(17, 59), ends=time(20))
    message = refused(pool, WAITING, schedules=[hours(), late])
    assert "'sale' and 'late' overlap" in message
    assert "17:59 UTC" in message


def test_values_that_no_form_accepts_are_refused(pool):
    with pytest.raises(ValidationError):
        make_policy(pool, max_replicas=0)
    with pytest.raises(ValidationError):
        make_policy(pool, down_percent=101)
    with pytest.raises(ValidationError):
        make_policy(pool, mode="sometimes")


def test_a_pool_has_one_policy(pool):
    make_policy(pool)
    with pytest.raises(NameTaken):
        make_policy(pool)


def test_fewer_at_most_than_there_are_asks_for_confirmation(pool, monkeypatch):
    for number in (1, 2, 3):
        engine(pool, number)
    facts = {"mode": "apply", "actuator": "process", "max_replicas": 2}
    with pytest.raises(ConfirmationNeeded, match="small has 3 replicas"):
        make_policy(pool, **facts)
    assert not ScalingPolicy.objects.exists()
    make_policy(pool, is_confirmed=True, **facts)


def test_signals_and_schedules_are_replaced_or_kept(pool):
    policy = make_policy(pool, schedules=[hours()])
    policy_services.save_policy(policy=policy, now=NOON)
    assert stored_signals(policy) == (WAITING,)
    assert stored_hours(policy) == (hours(),)
    other = Signal(kind="in_flight", target=3)
    policy_services.save_policy(policy=policy, signals=[other], schedules=[], now=NOON)
    fresh = ScalingPolicy.objects.get()
    assert (stored_signals(fresh), stored_hours(fresh)) == ((other,), ())


@pytest.mark.parametrize(("replicas", "until"), [(1001, at(60)), (3, NOON), (3, at(8 * 86_400))])
def test_an_override_is_possible_and_ends(pool, replicas, until):
    policy = make_policy(pool)
    with pytest.raises(PolicyRefused):
        policy_services.override(policy=policy, replicas=replicas, until=until, now=NOON)
    assert ScalingPolicy.objects.get().override_replicas is None


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_can_be_stored_as_it_is(pool, settings, name):
    settings.PROMETHEUS_URL = "http://prometheus:9090"
    preset = PRESETS[name]
    queried = [{**each, "query": "up"} for each in signals_for(preset, slots=16)]
    make_policy(pool, *(Signal(**each) for each in queried), **preset.settings)
