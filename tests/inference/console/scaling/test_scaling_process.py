"""The process actuator: the scale host polls, and the outcome is recorded."""

import pytest
from auditlog.models import LogEntry
from django.urls import reverse

from inference import services
from inference.endpoints import join_tokens
from inference.fleet.redis_keys import SCALE_HOST, SCALE_ORDER
from inference.models import ScalingDecision, ScalingState
from inference.scaling.evaluation import evaluate_pools
from tenants.counters import client as counter_client
from tests.fixtures.fleet.fleet_state import redis, report
from tests.fixtures.fleet.scaling import NOON, at, beat, engine, load, make_policy
from tests.fixtures.servers.ports import free_port

__all__ = ["load", "redis", "report"]


@pytest.fixture
def machine(client, db):
    """A scale host: `machine(pool, running=1)` returns the response of the console."""

    def come_by(pool, *, running=0, slots=4, name="gpu-1"):
        _, secret = join_tokens.issue_join_token(pool=pool, name="t")
        answer = client.post(
            reverse("scale-host"),
            {"name": name, "running": running, "slots": slots},
            content_type="application/json",
            headers={"Authorization": f"Bearer {secret}"},
        )
        return answer.status_code, answer.json()

    ours = counter_client.limits()
    yield come_by
    for pattern in (SCALE_HOST, SCALE_ORDER):
        for key in ours.scan_iter(f"{pattern}*"):
            ours.delete(key)


@pytest.fixture
def policy(pool):
    return make_policy(pool, mode="apply", actuator="process")


def last(pool):
    return ScalingDecision.objects.filter(pool=pool).first()


def test_a_machine_is_told_how_many_it_is_to_keep(policy, pool, machine, load):
    assert machine(pool, running=1)[1]["replicas"] is None
    load(pool, 30, engine(pool))
    evaluate_pools(now=NOON)
    assert machine(pool, running=1)[1]["replicas"] == 3
    decision = last(pool)
    assert (decision.outcome, decision.note) == ("applied", "gpu-1 is set to 3 replicas.")


def test_what_was_carried_out_is_audited_with_its_reason(policy, pool, machine, load):
    machine(pool, running=1)
    load(pool, 30, engine(pool))
    evaluate_pools(now=NOON)
    rows = LogEntry.objects.get_for_object(policy).filter(changes__has_key="replicas")
    assert rows.get().changes["replicas"] == ["1", "3"]
    assert "30 in all" in rows.get().changes["reason"][1]


def test_replicas_that_still_start_are_not_ordered_again(policy, pool, machine, load):
    machine(pool, running=1)
    one = engine(pool)
    load(pool, 30, one)
    evaluate_pools(now=NOON)
    machine(pool, running=3)
    beat(one, now=at(15))
    evaluate_pools(now=at(15))
    assert ScalingState.objects.get(pool=pool).status["replicas"] == 3
    assert ScalingDecision.objects.filter(outcome="applied").count() == 1


def test_a_limit_per_period_counts_slots_whenever_in_a_slot_a_look_comes(pool, machine, load):
    """Celery beat is not exactly punctual; a minute still has four evaluations, never five."""
    facts = {"up_percent": None, "up_replicas": 1, "up_replicas_seconds": 60}
    make_policy(pool, mode="apply", actuator="process", **facts)
    one, running = engine(pool), 1
    for step, late in enumerate((2.5, 0.1, 4.0, 0.2, 0.1)):
        running = machine(pool, running=running)[1]["replicas"] or running
        beat(one, now=at(15 * step))
        load(pool, 60, one)
        evaluate_pools(now=at(15 * step + late))
    applied = ScalingDecision.objects.filter(pool=pool, outcome="applied").order_by("at")
    assert [each.desired for each in applied] == [2, 3]


def test_a_machine_that_comes_back_without_engines_is_no_pool_at_zero(policy, pool, machine, load):
    machine(pool, running=1)
    one = engine(pool)
    load(pool, 30, one)
    evaluate_pools(now=NOON)
    assert machine(pool, running=0)[1]["replicas"] == 3
    beat(one, now=at(15))
    evaluate_pools(now=at(15))
    assert ScalingState.objects.get(pool=pool).status["replicas"] == 3
    assert machine(pool, running=0)[1]["replicas"] == 3


@pytest.mark.slow
def test_what_fails_again_and_again_is_written_down_once_and_as_a_sample(
    policy, pool, machine, load
):
    one = engine(pool)
    for step in range(25):
        machine(pool, running=2, slots=2)
        beat(one, now=at(15 * step))
        load(pool, 90 + step, one)
        evaluate_pools(now=at(15 * step))
    assert 2 <= ScalingDecision.objects.filter(outcome="failed").count() <= 3
    machine(pool, running=3, slots=3)
    beat(one, now=at(390))
    evaluate_pools(now=at(390))
    machine(pool, running=3, slots=3)
    beat(one, now=at(405))
    evaluate_pools(now=at(405))
    assert last(pool).note == "gpu-1 can run at most 3 replicas."


def test_the_idlest_are_named_first(policy, pool, machine, load):
    machine(pool, running=2)
    engine(pool, 1, running=5)
    engine(pool, 2, running=0)
    load(pool, 0)
    evaluate_pools(now=NOON)
    assert machine(pool, running=2)[1]["idlest"] == ["http://10.0.0.2:8000", "http://10.0.0.1:8000"]


def test_without_a_machine_nothing_is_changed_and_the_page_says_what_to_do(policy, pool, load):
    load(pool, 30, engine(pool))
    evaluate_pools(now=NOON)
    decision = last(pool)
    assert (decision.outcome, decision.desired) == ("unchanged", 1)
    assert "start `manage.py scale_host`" in decision.reason


def test_more_than_the_machine_has_room_for_is_told(policy, pool, machine, load):
    machine(pool, running=2, slots=2)
    load(pool, 90, engine(pool))
    evaluate_pools(now=NOON)
    assert last(pool).outcome == "failed"
    assert last(pool).note == "gpu-1 can run at most 2 replicas."


def test_a_second_machine_is_turned_away(policy, pool, machine):
    machine(pool)
    status, body = machine(pool, name="gpu-2")
    assert (status, body["error"]["code"]) == (409, "scale_host_taken")


def test_another_pools_machine_hears_of_its_own_pool_only(policy, pool, machine, load):
    other = services.create_pool(name="other", engine="vllm")
    machine(pool, running=1)
    load(pool, 30, engine(pool))
    evaluate_pools(now=NOON)
    assert machine(other, running=1)[1] == {
        "replicas": None,
        "idlest": [],
        "ask_again_seconds": 3.0,
    }


def test_a_machine_without_a_token_is_turned_away(client, db):
    assert client.post(reverse("scale-host"), {}).status_code == 401


def test_without_redis_it_is_told_to_ask_again(policy, pool, machine, settings):
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert machine(pool)[0] == 502


def test_an_order_that_redis_forgot_is_given_again(policy, pool, machine, load):
    machine(pool, running=1)
    one = engine(pool)
    load(pool, 30, one)
    evaluate_pools(now=NOON)
    counter_client.limits().delete(f"{SCALE_ORDER}{pool.pk}")
    assert machine(pool, running=1)[1]["replicas"] is None
    beat(one, now=at(15))
    evaluate_pools(now=at(15))
    assert machine(pool, running=1)[1]["replicas"] == 3
