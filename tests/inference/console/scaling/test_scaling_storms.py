"""Moved clocks, an emptied Redis and an unavailable cluster cause no sudden scaling."""

import pytest

from inference.models import ScalingDecision, ScalingState
from inference.scaling.evaluation import evaluate_pools
from tenants.counters import client as counter_client
from tests.fakes.kube_api import kube_api, kubeconfig, scale_of
from tests.fixtures.fleet.fleet_state import redis, report
from tests.fixtures.fleet.scaling import NOON, at, beat, engine, load, make_policy
from tests.fixtures.servers.ports import free_port

__all__ = ["load", "redis", "report"]
TARGET = {"kind": "Deployment", "namespace": "engines", "name": "engine"}
SCALE = "/apis/apps/v1/namespaces/engines/deployments/engine/scale"


def status(pool):
    return ScalingState.objects.get(pool=pool).status


@pytest.fixture
def four(pool):
    make_policy(pool)
    return [engine(pool, number) for number in range(1, 5)]


@pytest.fixture
def look(pool, four, load):
    """Evaluate the pool at a time with waiting requests. Returns desired replicas and the limit."""

    def once(seconds, *, waiting=None):
        beat(*four, now=at(seconds))
        if waiting is not None:
            load(pool, waiting, *four)
        evaluate_pools(now=at(seconds))
        return status(pool)["desired"], status(pool)["limited_by"]

    return once


@pytest.mark.parametrize("jump", [86_400, 3600, -90, -3600, -86_400])
def test_a_clock_that_moved_takes_nothing_away_before_a_window_has_passed(look, jump):
    assert look(0, waiting=40) == (4, "")
    assert look(15 + jump, waiting=1) == (4, "window")
    assert look(300 + jump, waiting=1) == (4, "window")
    assert look(330 + jump, waiting=1) == (1, "")


def test_a_clock_that_moved_does_not_keep_it_from_growing(look):
    assert look(0, waiting=40) == (4, "")
    assert look(-86_400, waiting=80) == (8, "")


def test_a_redis_that_was_emptied_takes_nothing_away_and_is_told_of(look, pool):
    look(0, waiting=40)
    counter_client.limits().flushall()
    for step in range(1, 30):
        assert look(15 * step)[0] == 4
    assert status(pool)["notes"]["waiting"] == "no gateway has reported recently"
    assert "Waiting requests: no gateway has reported recently" in str(
        ScalingDecision.objects.first().signal_results
    )


def test_when_gateways_are_heard_again_a_whole_window_has_to_agree(look):
    look(0, waiting=40)
    counter_client.limits().flushall()
    look(15)
    assert look(30, waiting=1) == (4, "window")
    assert look(300, waiting=1) == (4, "window")
    assert look(330, waiting=1) == (1, "")


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A fake Kubernetes API that can be stopped."""
    pytest.importorskip("lightkube")
    with kube_api() as server:
        server.objects[SCALE] = scale_of(4)
        there = kubeconfig(server, tmp_path / "there")
        server.server_port, port = free_port(), server.server_port
        away = kubeconfig(server, tmp_path / "away")
        server.server_port = port
        monkeypatch.setenv("KUBECONFIG", there)
        server.goes = lambda: monkeypatch.setenv("KUBECONFIG", away)
        server.returns = lambda: monkeypatch.setenv("KUBECONFIG", there)
        yield server


@pytest.mark.slow
def test_five_minutes_without_anybody_at_the_clusters_address(pool, cluster, load):
    make_policy(pool, mode="apply", actuator="kubernetes", actuator_settings=TARGET)
    one = engine(pool)
    load(pool, 40, one)
    evaluate_pools(now=NOON)
    cluster.goes()
    for step in range(1, 21):
        beat(one, now=at(15 * step))
        evaluate_pools(now=at(15 * step))
    failures = ScalingDecision.objects.filter(limited_by="actuator")
    assert 1 <= failures.count() <= 3
    assert "Kubernetes API for Deployment engines/engine failed" in failures[0].reason
    assert "Nothing is changed" in status(pool)["reason"]
    cluster.returns()
    load(pool, 1, one)
    beat(one, now=at(315))
    evaluate_pools(now=at(315))
    assert (status(pool)["desired"], status(pool)["limited_by"]) == (4, "window")
    assert cluster.patches == []
