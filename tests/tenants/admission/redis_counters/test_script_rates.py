"""Rates and concurrency as the scripts decide them, on Redis' own clock."""

import time

import pytest

from tenants.admission.limits.messages import Granted, Refused
from tenants.admission.redis_counters.scripts import GRANTED, REFUSED
from tests.fixtures.limits.scripts import ACME, RIVAL, ask, checks, progress, scope

SECOND_US = 1_000_000


def per_second(*, burst=1, **facts):
    """One request a second, `burst` at once."""
    return scope("tenant", request_us=SECOND_US, request_burst_us=burst * SECOND_US, **facts)


def tokens(*, per_token_us=100_000.0, burst=100, **facts):
    """Ten tokens a second, unless said otherwise: nothing comes back while a test runs."""
    return scope("tenant", token_us=per_token_us, token_burst_us=int(burst * per_token_us), **facts)


def set_ahead(driver, field, by_us):
    """As if the theoretical arrival were so far ahead of now."""
    driver.server.hset("tenantry:{1}:scope:tenant", field, driver.now_us() + by_us)


def test_a_burst_passes_and_one_more_does_not(driver):
    limits = checks(per_second(burst=3))

    verdicts = [driver.admit(ask(limits, f"req_{n}")) for n in range(4)]

    assert [type(each) for each in verdicts] == [Granted] * 3 + [Refused]
    assert verdicts[2].statuses[0].requests_remaining == 0
    assert verdicts[3].violation.reason == "requests_per_minute"


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_waiting_as_long_as_said_admits_and_5_ms_less_refuses(driver, kind):
    limited = (
        scope("tenant", request_us=200_000, request_burst_us=200_000)
        if kind == "requests"
        else tokens(per_token_us=10_000.0, burst=20)
    )
    limits = checks(limited)
    driver.admit(ask(limits, "req_1", rate_tokens=20))
    refused = driver.admit_raw(ask(limits, "req_2", rate_tokens=20))
    wait_us = refused[-2] * 1000
    time.sleep(wait_us / 1e6 - 0.005)

    # Answers tell when they were decided, so a test that was held up asks for the right thing.
    early = driver.admit_raw(ask(limits, "req_3", rate_tokens=20))
    waited = early[2] - refused[2]
    if waited <= wait_us - 1000:
        assert early[1] == REFUSED
    time.sleep(max(0, wait_us - waited) / 1e6)

    if early[1] == REFUSED:
        assert driver.admit_raw(ask(limits, "req_4", rate_tokens=20))[1] == GRANTED


def test_the_wait_is_what_the_arithmetic_says(driver):
    limits = checks(per_second(burst=2))
    before = driver.now_us()
    set_ahead(driver, "tr", 1_500_000)

    refused = driver.admit(ask(limits))

    passed_ms = (driver.now_us() - before) / 1000
    assert 500 - passed_ms - 1 <= refused.violation.retry_after_ms <= 500


def test_a_clock_that_went_back_locks_out_for_no_longer_than_the_burst(driver):
    limits = checks(per_second(burst=2), tokens())
    set_ahead(driver, "tr", 3600 * SECOND_US)

    refused = driver.admit(ask(limits))

    assert refused.violation.retry_after_ms == 1000


def test_a_debt_of_tokens_reaches_no_further_than_twice_the_burst(driver):
    limits = checks(tokens(burst=100))
    set_ahead(driver, "tt", 3600 * SECOND_US)

    refused = driver.admit(ask(limits, rate_tokens=100))

    assert refused.violation.retry_after_ms == 20_000


def test_more_than_the_burst_passes_on_a_full_bucket(driver):
    limits = checks(tokens(burst=100))

    assert isinstance(driver.admit(ask(limits, "req_1", rate_tokens=5000)), Granted)
    assert isinstance(driver.admit(ask(limits, "req_2", rate_tokens=1)), Refused)


@pytest.mark.parametrize(
    ("estimated", "actual", "left_ahead_us"),
    [
        *((50, 20, 2_000_000), (50, 80, 8_000_000), (5000, 20, 2_000_000)),
        *((50, 5000, 20_000_000), (50, -1, 5_000_000)),
    ],
)
def test_settling_trues_the_token_rate_up(driver, estimated, actual, left_ahead_us):
    limits = checks(tokens(burst=100))
    driver.admit(ask(limits, rate_tokens=estimated))

    driver.settle({"req_1": actual})

    ahead = driver.scope("tenant")["tt"] - driver.now_us()
    assert left_ahead_us - 1_900_000 <= ahead <= left_ahead_us


def test_a_rate_in_shadow_mode_refuses_nothing_and_is_charged_only_what_conforms(driver):
    limits = checks(per_second(burst=1, enforced=False))
    driver.admit(ask(limits, "req_1"))
    before = driver.scope("tenant")["tr"]

    verdict = driver.admit(ask(limits, "req_2"))

    assert [each.reason for each in verdict.shadowed] == ["requests_per_minute"]
    assert driver.scope("tenant")["tr"] == before


def test_what_was_not_charged_in_shadow_mode_is_not_given_back(driver):
    limits = checks(tokens(burst=100, enforced=False))
    driver.admit(ask(limits, "req_1", rate_tokens=100))
    driver.admit(ask(limits, "req_2", rate_tokens=100))
    before = driver.scope("tenant")["tt"]

    driver.settle({"req_2": 0})

    assert driver.scope("tenant")["tt"] == before


def test_no_more_than_so_many_run_at_once(driver):
    limits = checks(scope("tenant", concurrency=2))
    driver.admit(ask(limits, "req_1"))
    driver.admit(ask(limits, "req_2"))

    refused = driver.admit(ask(limits, "req_3"))
    driver.settle({"req_1": 0})

    assert (refused.violation.reason, refused.violation.retry_after_ms) == ("concurrency", 1000)
    assert isinstance(driver.admit(ask(limits, "req_3")), Granted)


def test_the_other_tenants_requests_do_not_count(driver):
    limits = scope("tenant", concurrency=1)

    assert isinstance(driver.admit(ask(checks(limits, tenant_id=ACME))), Granted)
    assert isinstance(driver.admit(ask(checks(limits, tenant_id=RIVAL))), Granted)


def test_a_refused_request_burns_nothing_in_any_limit(driver):
    open_scope = scope(
        "key:1", request_us=1, request_burst_us=SECOND_US, token_us=1.0, token_burst_us=SECOND_US
    )
    limits = checks(open_scope, scope("tenant", concurrency=1))
    driver.admit(ask(limits, "req_1"))
    before = driver.scope("key:1"), driver.scope("tenant"), driver.holds()

    driver.admit(ask(limits, "req_2"))

    assert (driver.scope("key:1"), driver.scope("tenant"), driver.holds()) == before


def test_the_breach_that_lasts_longest_is_told(driver):
    limits = checks(scope("key:1", concurrency=1), per_second(burst=2))
    driver.admit(ask(limits, "req_1"))
    set_ahead(driver, "tr", 3 * SECOND_US)

    assert driver.admit(ask(limits, "req_2")).violation.reason == "concurrency"
    limits = checks(
        scope("key:1", concurrency=1),
        scope("tenant", request_us=60 * SECOND_US, request_burst_us=60 * SECOND_US),
    )
    set_ahead(driver, "tr", 60 * SECOND_US)
    assert driver.admit(ask(limits, "req_2")).violation.reason == "requests_per_minute"


@pytest.mark.parametrize(
    ("denied", "reason", "whose"),
    [("tenant", "tenant_suspended", "tenant"), ("key:1", "revoked_api_key", "key:1")],
)
def test_what_is_denied_is_refused_at_once(driver, denied, reason, whose):
    driver.server.hset("tenantry:{1}:denied", denied, "because")
    limits = checks(scope("tenant"))

    violation = driver.admit(ask(limits)).violation

    assert (violation.reason, violation.scope, violation.retry_after_ms) == (reason, whose, None)
    assert isinstance(driver.admit(ask(checks(scope("tenant"), tenant_id=RIVAL))), Granted)


def test_another_keys_block_is_not_ours(driver):
    driver.server.hset("tenantry:{1}:denied", "key:11", "because")

    assert isinstance(driver.admit(ask(checks(scope("tenant")))), Granted)


def test_a_call_that_comes_too_late_does_nothing(driver):
    limits = checks(scope("tenant"))

    driver.admit_raw(ask(limits, "req_1"), deadline=driver.now_us() - 1)
    driver.renew([progress(ask(limits, "req_2"), 20)], deadline=driver.now_us() - 1)

    assert driver.holds() == 0
    assert driver.scope("tenant") == {}
