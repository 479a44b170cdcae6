"""The age of Celery's heartbeats, as the console exports it."""

import time

import pytest
from django.core.cache import cache

from config.worker_heartbeat import (
    KEYS,
    HeartbeatCollector,
    record_heartbeat,
    record_heartbeat_of_default_queue,
)
from tests.fixtures.servers.ports import free_port


@pytest.fixture(autouse=True)
def no_heartbeat():
    cache.delete_many(KEYS.values())


def ages():
    (family,) = HeartbeatCollector().collect()
    return {sample.labels["queue"]: sample.value for sample in family.samples}


def test_a_queue_without_a_heartbeat_has_no_series():
    record_heartbeat()

    assert ages().keys() == {"critical"}


def test_the_age_grows_while_no_task_is_consumed():
    record_heartbeat()
    record_heartbeat_of_default_queue()
    cache.set(KEYS["critical"], time.time() - 100, timeout=None)

    assert ages() == {"critical": pytest.approx(100, abs=20), "celery": pytest.approx(0, abs=20)}


def test_without_redis_there_is_no_age_and_no_error(settings):
    cache_settings = settings.CACHES["default"]
    address = f"redis://127.0.0.1:{free_port()}/0"
    settings.CACHES = {"default": {**cache_settings, "LOCATION": address}}

    assert ages() == {}
