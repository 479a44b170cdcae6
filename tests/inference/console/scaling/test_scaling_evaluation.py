"""Every pool is evaluated once per slot, and decisions are recorded with their reasons."""

import threading

import pytest
from auditlog.models import LogEntry
from django.db import connection

from inference import services
from inference.models import PoolSample, ScalingDecision, ScalingPolicy, ScalingState
from inference.scaling import actuation
from inference.scaling.evaluation import evaluate_pools
from inference.scaling.policies import services as policy_services
from tests.fixtures.fleet.fleet_state import redis, report
from tests.fixtures.fleet.scaling import NOON, at, beat, engine, hours, load, make_policy
from tests.fixtures.servers.ports import free_port

QUERIES_PER_POOL = 1

__all__ = ["load", "redis", "report"]


def decisions(pool):
    return list(ScalingDecision.objects.filter(pool=pool).order_by("at"))


def test_more_waiting_than_wanted_is_a_recommendation_with_its_reason(pool, load):
    make_policy(pool)
    load(pool, 42, engine(pool))
    evaluate_pools(now=NOON)
    (decision,) = decisions(pool)
    assert (decision.replicas, decision.desired, decision.outcome) == (1, 5, "recommended")
    assert decision.reason == "Waiting requests: 42 in all, 10 per replica: 5 replicas."
    assert decision.signal_results[0]["replicas"] == 5
    assert decision.inputs["waiting"]["value"] == 42


def test_what_engines_told_counts_beside_the_queue_of_the_gateways(pool, load):
    make_policy(pool)
    load(pool, 20, engine(pool, waiting=15))
    evaluate_pools(now=NOON)
    assert decisions(pool)[0].inputs["waiting"]["value"] == 35


def test_a_recommendation_is_written_down_once_while_it_stays_the_same(pool, load, monkeypatch):
    # An unchanged decision is sampled at a slot that depends on the pool's id.
    monkeypatch.setattr(actuation, "SAMPLED_SLOTS", 10**12)
    make_policy(pool)
    one = engine(pool)
    for step in range(4):
        beat(one, now=at(15 * step))
        load(pool, 42, one)
        evaluate_pools(now=at(15 * step))
    assert len(decisions(pool)) == 1


@pytest.mark.slow
def test_of_what_changes_nothing_a_sample_is_kept(pool, load):
    make_policy(pool)
    one = engine(pool)
    for step in range(40):
        beat(one, now=at(15 * step))
        load(pool, 10, one)
        evaluate_pools(now=at(15 * step))
    assert {each.outcome for each in decisions(pool)} == {"unchanged"}
    assert len(decisions(pool)) == 2
    assert PoolSample.objects.filter(pool=pool).count() == 40


def test_the_same_slot_is_evaluated_once(pool, load):
    make_policy(pool)
    load(pool, 42, engine(pool))
    assert [evaluate_pools(now=at(seconds)) for seconds in (0, 1, 14, 15)] == [1, 0, 0, 1]


def test_a_look_that_comes_early_leaves_no_quarter_of_a_minute_out(pool, load):
    """Celery beat runs more often than once per slot: after an early run at 14.9 s comes 19.9 s."""
    make_policy(pool)
    load(pool, 42, engine(pool))
    moments = [4.9 + 5 * step for step in range(12)]
    assert sum(evaluate_pools(now=at(moment)) for moment in moments) == 4


def test_a_look_at_nothing_is_one_query(pool, load, django_assert_num_queries):
    make_policy(pool)
    load(pool, 42, engine(pool))
    evaluate_pools(now=NOON)
    with django_assert_num_queries(1):
        evaluate_pools(now=at(5))


def test_a_pool_without_a_policy_is_only_recorded(pool, load):
    load(pool, 7, engine(pool), in_flight=3)
    evaluate_pools(now=NOON)
    sample = PoolSample.objects.get(pool=pool)
    assert (sample.waiting, sample.in_flight, sample.ready, sample.desired) == (7, 3, 1, None)
    assert decisions(pool) == []


def test_nothing_shrinks_while_redis_is_away(pool, load, settings):
    make_policy(pool, max_replicas=10, down_window=0)
    for number in (1, 2, 3):
        engine(pool, number)
    settings.REDIS_LIMITS_URL = f"redis://127.0.0.1:{free_port()}/0"
    evaluate_pools(now=NOON)
    state = ScalingState.objects.get(pool=pool)
    assert state.status["desired"] == 3
    assert state.status["notes"]["waiting"] == "Redis does not answer"


def test_nothing_shrinks_while_an_engine_is_silent(pool, load):
    make_policy(pool, down_window=0)
    alive, silent = engine(pool, 1), engine(pool, 2, now=at(-60))
    load(pool, 1, alive, silent)
    evaluate_pools(now=NOON)
    assert ScalingState.objects.get(pool=pool).status["desired"] == 2
    beat(silent, now=NOON)
    evaluate_pools(now=at(15))
    assert ScalingState.objects.get(pool=pool).status["desired"] == 1


def test_a_pool_is_not_shrunk_by_the_first_look_after_a_pause_of_beat(pool, load):
    make_policy(pool)
    engines = [engine(pool, number) for number in range(1, 5)]
    load(pool, 40, *engines)
    evaluate_pools(now=NOON)
    beat(*engines, now=at(3600))
    load(pool, 1, *engines)
    evaluate_pools(now=at(3600))
    status = ScalingState.objects.get(pool=pool).status
    assert (status["desired"], status["limited_by"]) == (4, "window")


def test_a_clock_that_went_back_does_not_stop_scaling(pool, load):
    make_policy(pool)
    one = engine(pool)
    evaluate_pools(now=at(86_400))
    load(pool, 42, one)
    assert evaluate_pools(now=NOON) == 1
    assert ScalingState.objects.get(pool=pool).status["desired"] == 5


def test_a_schedule_lifts_the_bounds(pool, load):
    make_policy(pool, schedules=[hours(min_replicas=3)])
    load(pool, 0, engine(pool))
    evaluate_pools(now=NOON)
    decision = decisions(pool)[0]
    assert (decision.desired, decision.limited_by) == (3, "bounds")
    assert "The schedule 'sale' requires at least 3" in decision.reason


def test_a_paused_policy_leaves_the_pool_alone_and_says_what_it_would_do(pool, load):
    policy = make_policy(pool)
    policy_services.pause(policy=policy)
    load(pool, 42, engine(pool))
    evaluate_pools(now=NOON)
    status = ScalingState.objects.get(pool=pool).status
    assert (status["desired"], status["proposed"], status["limited_by"]) == (1, 5, "paused")
    assert "The policy's recommendation: Waiting requests: 42" in status["reason"]


def test_an_override_wins_until_it_ends(pool, load):
    policy = make_policy(pool)
    policy_services.override(policy=policy, replicas=7, until=at(60), now=NOON)
    one = engine(pool)
    load(pool, 42, one)
    wanted = []
    for step in (0, 45, 60):
        beat(one, now=at(step))
        evaluate_pools(now=at(step))
        wanted.append(ScalingState.objects.get(pool=pool).status["desired"])
    assert wanted == [7, 7, 5]


def test_an_idle_pool_rests_and_demand_wakes_it(pool, load):
    make_policy(pool, idle_seconds=60)
    one = engine(pool)
    wanted = []
    for step in range(7):
        beat(one, now=at(15 * step))
        load(pool, 0, one, requests=5)
        evaluate_pools(now=at(15 * step))
        wanted.append(ScalingState.objects.get(pool=pool).status["desired"])
    assert wanted == [1, 1, 1, 1, 0, 0, 0]
    one.delete()
    load(pool, 0)
    evaluate_pools(now=at(120))
    assert ScalingState.objects.get(pool=pool).status["desired"] == 0
    load(pool, 0, demand=at(134))
    evaluate_pools(now=at(135))
    decision = decisions(pool)[-1]
    assert (decision.replicas, decision.desired) == (0, 1)
    assert decision.reason == "Requests arrive: it starts 1 replica."


def test_periods_count_slots_whenever_in_a_slot_a_look_comes(pool, load):
    """Celery beat is not exactly punctual; a minute still has four evaluations, never five."""
    make_policy(pool, idle_seconds=60)
    one = engine(pool)
    for step, late in enumerate((2.5, 0.1, 4.0, 0.2, 0.1)):
        beat(one, now=at(15 * step))
        load(pool, 0, one, requests=5)
        evaluate_pools(now=at(15 * step + late))
    assert ScalingState.objects.get(pool=pool).status["desired"] == 0


def test_requests_between_two_looks_keep_it_from_resting(pool, load):
    make_policy(pool, idle_seconds=60)
    one = engine(pool)
    for step in range(9):
        beat(one, now=at(15 * step))
        load(pool, 0, one, requests=step)
        evaluate_pools(now=at(15 * step))
    assert ScalingState.objects.get(pool=pool).status["desired"] == 1


def test_a_request_rate_is_not_made_up_when_a_gateway_leaves(pool, load):
    one = engine(pool)
    for step, requests in enumerate((1000, 1150, 400)):
        load(pool, 0, one, requests=requests)
        evaluate_pools(now=at(15 * step))
    rates = PoolSample.objects.filter(pool=pool).order_by("at").values_list("request_rate")
    assert list(rates) == [(None,), (10,), (None,)]


def test_off_is_only_recorded(pool, load):
    make_policy(pool, mode="off")
    load(pool, 42, engine(pool))
    evaluate_pools(now=NOON)
    assert decisions(pool) == []


@pytest.mark.django_db(transaction=True)
def test_of_two_evaluators_at_once_one_decides(pool, load):
    make_policy(pool)
    load(pool, 42, engine(pool))
    counts, gate = [], threading.Barrier(4)

    def evaluate():
        gate.wait()
        counts.append(evaluate_pools(now=NOON))
        connection.close()

    threads = [threading.Thread(target=evaluate) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(counts) == [0, 0, 0, 1]
    assert len(decisions(pool)) == PoolSample.objects.count() == 1


@pytest.mark.nightly
def test_five_hundred_pools_cost_the_same_few_queries_each(
    db, report, django_assert_max_num_queries
):
    names = [f"pool-{number}" for number in range(500)]
    for name in names:
        pool = services.create_pool(name=name, engine="vllm")
        make_policy(pool)
        for number in range(3):
            engine(pool, f"{pool.pk % 250}.{number}", waiting=30)
    report(queues=dict.fromkeys(names, 20))
    evaluate_pools(now=NOON)
    with django_assert_max_num_queries(QUERIES_PER_POOL * len(names)):
        assert evaluate_pools(now=at(15)) == 500


def test_a_pause_and_an_override_are_audited(pool):
    policy = make_policy(pool)
    assert policy_services.pause(policy=policy)
    assert not policy_services.pause(policy=policy)
    policy_services.override(policy=policy, replicas=7, until=at(60), now=NOON)
    rows = LogEntry.objects.get_for_object(policy).exclude(changes__has_key="mode")
    recorded = {name: change for row in rows for name, change in row.changes.items()}
    assert recorded["paused"] == ["False", "True"]
    assert recorded["override"] == ["none", "7"]
    assert ScalingPolicy.objects.get().paused
