"""Storage of the load history of engines."""

import pytest
from django.utils import timezone

from inference.engines.engine import EngineLoad
from inference.fleet.redis_keys import LOADS
from inference.monitoring.load_history import (
    MAX_ENTRIES,
    delete_load,
    history_entry,
    history_key,
    record_load,
)
from tenants.counters.client import limits

pytestmark = pytest.mark.django_db


def load(**counts):
    return EngineLoad(running=2, waiting=1, **counts)


def test_rates_are_what_counters_grew_by():
    before = {"at": "100.0", "prompt_tokens": "1000", "generation_tokens": "50"}

    entry = history_entry(load(prompt_tokens=1500, generation_tokens=60), before=before, at=105.0)

    assert entry["prompt_tokens_per_second"] == 100
    assert entry["generation_tokens_per_second"] == 2


def test_an_engine_that_restarted_counts_from_nothing():
    before = {"at": "100", "prompt_tokens": "1000"}

    entry = history_entry(load(prompt_tokens=50), before=before, at=110.0)

    assert entry["prompt_tokens_per_second"] == 5


@pytest.mark.parametrize("before", [{}, {"at": "100", "prompt_tokens": "7"}])
def test_without_a_moment_in_between_there_is_no_rate(before):
    entry = history_entry(load(prompt_tokens=50), before=before, at=100.0)

    assert "prompt_tokens_per_second" not in entry


def test_what_an_engine_does_not_tell_is_left_out():
    entry = history_entry(load(), before={}, at=1.0)

    assert entry == {"at": 1.0, "running": 2, "waiting": 1}


@pytest.fixture
def public_id():
    yield "e1"
    delete_load(public_id="e1")


def test_a_history_is_bounded_and_ends_with_its_endpoint(public_id, now):
    for _ in range(MAX_ENTRIES + 300):
        record_load(public_id=public_id, load=load(), now=now)

    assert MAX_ENTRIES <= limits().xlen(history_key(public_id)) < MAX_ENTRIES + 200
    assert 0 < limits().ttl(history_key(public_id)) <= 7200

    delete_load(public_id=public_id)
    assert not limits().exists(history_key(public_id))
    assert not limits().hexists(LOADS, public_id)


def test_a_redis_that_is_away_keeps_no_heartbeat_back(public_id, now, settings, caplog):
    settings.REDIS_LIMITS_URL = "redis://127.0.0.1:9/0"

    record_load(public_id=public_id, load=load(), now=now)

    assert "write failed (endpoint=" in caplog.text
    settings.REDIS_LIMITS_URL = settings.REDIS_URL


@pytest.fixture
def now():
    return timezone.now()
