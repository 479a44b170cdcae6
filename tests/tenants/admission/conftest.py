"""A clean Valkey for tests of what happens inside it."""

import pytest
import redis
from django.conf import settings

from tests.fixtures.limits.scripts import Driver, open_window


@pytest.fixture
def server():
    with redis.Redis.from_url(settings.REDIS_LIMITS_URL) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def driver(server):
    made = Driver(server)
    yield made
    made.connection.disconnect()


@pytest.fixture
def window(driver):
    """One that is open now, for an hour."""
    return open_window(driver)
