"""Servers that the caller brings are tried first, and a failure says how to mend it."""

import os

import pytest

from embedded.errors import CannotStart
from embedded.servers.external import require_database, require_redis


def test_a_database_that_answers_is_accepted():
    require_database(os.environ["DATABASE_URL"])


def test_a_database_that_does_not_is_refused():
    with pytest.raises(CannotStart, match="DATABASE_URL"):
        require_database("postgresql://user:geheim@127.0.0.1:1/tenantry")


def test_the_password_is_not_repeated():
    with pytest.raises(CannotStart) as refused:
        require_database("postgresql://user:geheim@127.0.0.1:1/tenantry")
    assert "geheim" not in str(refused.value)


def test_a_database_that_is_missing_on_its_server_is_named():
    url = os.environ["DATABASE_URL"].replace("/tenantry", "/elsewhere")
    with pytest.raises(CannotStart, match="elsewhere"):
        require_database(url)


def test_a_redis_that_answers_is_accepted():
    require_redis(os.environ["REDIS_URL"])


def test_a_redis_that_does_not_is_refused():
    with pytest.raises(CannotStart, match="REDIS_URL"):
        require_redis("redis://:geheim@127.0.0.1:1/0")
