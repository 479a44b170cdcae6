"""`manage.py doctor` finds what is wrong and says what to do."""

import os

from config.doctor import (
    check_clock,
    check_database,
    check_redis,
    diagnose,
)
from tests.fixtures.servers.ports import free_port


def test_servers_that_answer_are_good():
    found = [*check_database(os.environ["DATABASE_URL"]), check_redis(os.environ["REDIS_URL"])]
    assert [finding.about for finding in found if not finding.is_good] == []


def test_a_database_that_is_away_is_advised_on():
    (finding,) = check_database("postgresql://user:geheim@127.0.0.1:1/x")
    assert not finding.is_good
    assert "DATABASE_URL" in finding.advice
    assert "geheim" not in finding.detail


def test_a_redis_that_is_away_is_advised_on():
    finding = check_redis(f"redis://127.0.0.1:{free_port()}/0")
    assert not finding.is_good
    assert "REDIS_URL" in finding.advice


def test_a_clock_that_is_off_is_found():
    assert not check_clock(-30.0).is_good
    assert check_clock(0.1).is_good


def test_nothing_configured_is_said_so(tmp_path):
    found = {f.about: f.detail for f in diagnose({"TENANTRY_HOME": str(tmp_path)})}
    assert found["PostgreSQL"] == "not configured"
    assert found["Redis"] == "not configured"
