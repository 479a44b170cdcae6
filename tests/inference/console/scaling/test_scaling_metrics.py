"""Metrics of scaling on the console's endpoint for Prometheus."""

from datetime import timedelta

import time_machine

from inference import services
from inference.scaling.evaluation import evaluate_pools
from tests.fixtures.fleet.fleet_state import redis, report
from tests.fixtures.fleet.scaling import NOON, engine, load, make_policy

__all__ = ["load", "redis", "report"]


def scraped(client, *, at=NOON):
    with time_machine.travel(at, tick=False):
        return client.get("/metrics").content.decode()


def test_replicas_what_is_wanted_and_signals_are_served(client, pool, load):
    make_policy(pool)
    load(pool, 42, engine(pool), engine(pool, 2, state="draining"))
    evaluate_pools(now=NOON)
    text = scraped(client)
    assert 'tenantry_pool_replicas{pool="small",state="ready"} 1.0' in text
    assert 'tenantry_pool_replicas{pool="small",state="draining"} 1.0' in text
    assert 'tenantry_pool_desired_replicas{pool="small"} 5.0' in text
    assert 'tenantry_scaling_signal{pool="small",signal="waiting"} 42.0' in text


def test_what_is_not_known_is_not_served(client, pool, load):
    evaluate_pools(now=NOON)
    text = scraped(client)
    assert 'tenantry_pool_replicas{pool="small",state="ready"} 0.0' in text
    assert 'desired_replicas{pool="small"' not in text
    assert 'signal="waiting"' not in text


def test_a_pool_that_is_gone_is_gone(client, pool, load):
    evaluate_pools(now=NOON)
    services.delete_pool(pool=pool)
    assert 'pool="small"' not in scraped(client)


def test_a_look_that_is_old_is_left_out(client, pool, load):
    """After Celery has stopped, its last observation must not be exported as current."""
    make_policy(pool)
    load(pool, 42, engine(pool))
    evaluate_pools(now=NOON)

    assert 'signal="waiting"} 42.0' in scraped(client, at=NOON + timedelta(seconds=55))
    later = scraped(client, at=NOON + timedelta(seconds=65))
    assert 'pool="small"' not in later
    assert "# TYPE tenantry_scaling_signal gauge" in later
