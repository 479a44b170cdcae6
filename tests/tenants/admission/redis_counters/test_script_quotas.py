"""Quotas as the scripts decide them: holds, totals, windows, and counters that are missing."""

import pytest

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.messages import Granted, Refused
from tenants.admission.redis_counters.scripts import COLD, GONE, OK, WINDOW
from tests.fixtures.limits.scripts import (
    ACME,
    RIVAL,
    ask,
    checks,
    progress,
    quota,
    scope,
    state_of,
)

LIMIT = 100


@pytest.fixture
def limits(driver, window):
    return hourly_limits(driver, window)


def hourly_limits(driver, window):
    """A tenant with 100 tokens an hour, seeded; and the same for the rival."""
    for tenant_id in (ACME, RIVAL):
        made = checks(scope("tenant", quota("tenant", window, LIMIT)), tenant_id=tenant_id)
        driver.seed_all(made)
    return checks(scope("tenant", quota("tenant", window, LIMIT)))


def counted(driver, of="h"):
    """One field of the only window."""
    fields = driver.scope("tenant")
    return next((value for name, value in fields.items() if name.startswith(f"{of}:")), None)


def totals(limits, **facts):
    return [state_of(limits.scopes[0].quotas[0], **facts)]


def test_what_is_granted_is_held(driver, limits):
    granted = driver.admit(ask(limits, prompt_tokens=10, completion_tokens=20))

    assert granted.completion_tokens == 20
    assert (counted(driver), granted.quotas[0].held) == (30, 30)
    assert granted.quotas[0].remaining == 70


def test_the_answer_is_shortened_to_what_is_left(driver, limits):
    driver.admit(ask(limits, "req_1", completion_tokens=60))

    granted = driver.admit(ask(limits, "req_2", completion_tokens=60))

    assert granted.completion_tokens == 20
    assert counted(driver) == LIMIT


def test_less_than_is_of_use_is_refused(driver, limits):
    driver.admit(ask(limits, "req_1", completion_tokens=60))

    refused = driver.admit(ask(limits, "req_2", completion_tokens=60, min_completion_tokens=21))

    assert refused.violation.reason == "quota_exhausted"
    assert counted(driver) == 70


def test_what_others_hold_may_come_back_in_a_second(driver, limits):
    driver.admit(ask(limits, "req_1", completion_tokens=90))

    violation = driver.admit(ask(limits, "req_2")).violation

    assert (violation.retry_after_ms, violation.resets_at) == (1000, None)


def test_what_is_used_comes_back_when_the_window_ends(driver, limits, window):
    driver.seed(totals(limits, used=95, version=1))
    end = int(window.partition("-")[2])

    violation = driver.admit(ask(limits)).violation

    assert (violation.counter, violation.resets_at) == ("tenant|tokens", end)
    assert abs(end * 1000 - driver.now_us() / 1000 - violation.retry_after_ms) < 1000


def test_what_is_larger_than_the_limit_never_passes(driver, limits):
    violation = driver.admit(ask(limits, prompt_tokens=101)).violation

    assert (violation.retry_after_ms, violation.resets_at) == (None, None)


@pytest.mark.parametrize(
    ("used", "passes"), [(89, True), (90, False)], ids=["to the last token", "one too many"]
)
def test_the_limit_is_exact(driver, limits, used, passes):
    driver.seed(totals(limits, used=used, version=1))

    verdict = driver.admit(ask(limits, prompt_tokens=10, completion_tokens=1))

    assert isinstance(verdict, Granted if passes else Refused)


def test_a_request_without_an_answer_fits_or_does_not(driver, limits):
    embedding = {"completion_tokens": 0, "min_completion_tokens": 0}

    assert isinstance(driver.admit(ask(limits, "req_1", prompt_tokens=100, **embedding)), Granted)
    assert isinstance(driver.admit(ask(limits, "req_2", prompt_tokens=1, **embedding)), Refused)


def test_a_quota_of_requests_counts_requests(driver, window):
    each = quota(
        "tenant", window, 2, unit="requests", per_request=1_000_000, per_prompt=0, per_completion=0
    )
    limits = checks(scope("tenant", each))
    driver.seed_all(limits)

    verdicts = [driver.admit(ask(limits, f"req_{n}")) for n in range(3)]

    assert [type(each) for each in verdicts] == [Granted, Granted, Refused]


def test_a_cost_is_rounded_up(driver, window):
    price = quota("tenant", window, 10**9, unit="cost", per_prompt=150_000, per_completion=600_000)
    limits = checks(scope("tenant", price))
    driver.seed_all(limits)

    driver.admit(ask(limits, prompt_tokens=1, completion_tokens=1))

    assert counted(driver) == 1


def test_amounts_near_the_largest_are_exact(driver, window):
    limits = checks(scope("tenant", quota("tenant", window, 2**53 - 2)))
    driver.seed_all(limits, used=2**53 - 50, version=1)

    granted = driver.admit(ask(limits, prompt_tokens=10, completion_tokens=60))

    assert granted.completion_tokens == 38


def test_a_top_up_counts_at_once(driver, limits):
    driver.seed(totals(limits, used=100, version=1))
    assert isinstance(driver.admit(ask(limits, "req_1")), Refused)

    driver.settle({}, totals(limits, used=100, granted=50, version=2))

    assert driver.admit(ask(limits, "req_2")).quotas[0].limit == 150


def test_a_soft_quota_counts_and_tells_but_does_not_refuse(driver, window):
    limits = checks(scope("tenant", quota("tenant", window, 5, hard=False)))
    driver.seed_all(limits)

    verdict = driver.admit(ask(limits))

    assert verdict.completion_tokens == 20
    assert [each.reason for each in verdict.shadowed] == ["quota_exhausted"]
    assert counted(driver) == 30


def test_the_tightest_scope_decides_and_nothing_is_written_for_a_refusal(driver, window):
    limits = checks(
        scope("key:1", quota("key:1", window, 1000)), scope("tenant", quota("tenant", window, 5))
    )
    driver.seed_all(limits)
    before = driver.scope("key:1"), driver.scope("tenant")

    refused = driver.admit(ask(limits))

    assert refused.violation.scope == "tenant"
    assert (driver.scope("key:1"), driver.scope("tenant"), driver.holds()) == (*before, 0)


def test_a_missing_counter_is_cold_and_not_zero(driver, window):
    limits = checks(
        scope("key:1", quota("key:1", window, 9)), scope("tenant", quota("tenant", window, 9))
    )
    driver.seed([state_of(limits.scopes[0].quotas[0])])

    reply = driver.admit_raw(ask(limits))

    assert reply[1] == COLD
    assert driver.cold(ask(limits)) == [("tenant|tokens", window)]
    assert driver.holds() == 0


def test_a_window_that_is_not_now_is_refused_with_the_time(driver, limits, window):
    start = int(window.partition("-")[0])
    old = checks(scope("tenant", quota("tenant", f"{start - 3600}-{start}", LIMIT)))

    reply = driver.admit_raw(ask(old))

    assert reply[1] == WINDOW
    assert abs(reply[2] - driver.now_us()) < 1_000_000


def test_the_same_request_gets_the_same_answer(driver, limits):
    first = driver.admit(ask(limits, completion_tokens=60))

    again = driver.admit(ask(limits, completion_tokens=90))

    assert again.completion_tokens == first.completion_tokens
    assert (counted(driver), driver.scope("tenant")["c"]) == (70, 1)


def test_settling_lets_the_hold_go_and_brings_the_total(driver, limits):
    driver.admit(ask(limits))

    assert driver.settle({"req_1": 15}, totals(limits, used=15, version=1)) == 1
    assert (counted(driver), counted(driver, "u"), driver.scope("tenant")["c"]) == (0, 15, 0)


def test_settling_twice_is_settling_once(driver, limits):
    driver.admit(ask(limits, "req_1"))
    driver.admit(ask(limits, "req_2"))
    driver.settle({"req_1": 15}, totals(limits, used=15, version=1))

    assert driver.settle({"req_1": 15}, totals(limits, used=15, version=1)) == 0
    assert (counted(driver), driver.scope("tenant")["c"]) == (30, 1)


def test_an_older_total_changes_nothing(driver, limits):
    driver.settle({}, totals(limits, used=15, version=2))

    driver.settle({}, totals(limits, used=9, version=1))
    driver.seed(totals(limits, used=9, version=1))

    assert counted(driver, "u") == 15


def test_settling_does_not_create_a_counter(driver, limits):
    driver.server.flushdb()

    driver.settle({}, totals(limits, used=15, version=1))

    assert counted(driver, "u") is None
    assert driver.cold(ask(limits)) != []


def test_what_was_read_before_a_settlement_is_not_seeded_after_it(driver, limits):
    driver.server.flushdb()
    driver.settle({}, totals(limits, used=15, version=2))

    assert driver.seed(totals(limits, used=9, version=1)) == [1]
    assert counted(driver, "u") is None
    assert driver.seed(totals(limits, used=15, version=2)) == []
    assert counted(driver, "u") == 15


def test_an_expired_hold_frees_its_slot_and_keeps_its_tokens(driver, limits):
    driver.admit(ask(limits))
    driver.expire("req_1")

    driver.admit(ask(limits, "req_2"))

    assert (counted(driver), driver.scope("tenant")["c"]) == (60, 1)
    assert driver.server.xlen("tenantry:{1}:orphans") == 1
    assert driver.reap() == 0


def test_a_worker_that_comes_back_takes_its_hold_back(driver, limits):
    request = ask(limits)
    driver.admit(request)
    driver.expire("req_1")
    driver.reap()

    driver.renew([progress(request, 20, completion_tokens=5)])

    assert (counted(driver), driver.scope("tenant")["c"]) == (30, 1)
    assert driver.server.zscore("tenantry:{1}:expiries", "req_1") > driver.now_us()


def test_a_hold_that_redis_lost_is_made_anew(driver, limits):
    request = ask(limits)
    driver.admit(request)
    driver.server.flushdb()

    assert driver.renew([progress(request, 20)])[3] == 1
    assert driver.renew([progress(request, 20)])[3] == 0
    assert (counted(driver), driver.scope("tenant")["c"]) == (30, 1)
    assert counted(driver, "u") is None


def test_an_ended_request_holds_what_it_used_and_runs_no_more(driver, limits):
    request = ask(limits)
    driver.admit(request)
    ended = progress(request, 20, completion_tokens=3, ended=True)

    driver.renew([ended])
    driver.renew([ended])

    assert (counted(driver), driver.scope("tenant")["c"]) == (13, 0)
    lease = driver.server.zscore("tenantry:{1}:expiries", "req_1") - driver.now_us()
    assert lease > 23 * 3600 * 1_000_000


def test_a_heartbeat_after_the_end_does_not_run_again(driver, limits):
    request = ask(limits)
    driver.admit(request)
    driver.renew([progress(request, 20, completion_tokens=3, ended=True)])

    driver.renew([progress(request, 20, completion_tokens=2)])

    assert (counted(driver), driver.scope("tenant")["c"]) == (13, 0)


def test_a_hold_grows_to_what_is_left(driver, limits):
    driver.admit(ask(limits))

    assert driver.extend("req_1", 50)[3] == 50
    assert driver.extend("req_1", 500)[3] == 90
    assert driver.extend("req_1", 10)[3] == 90
    assert counted(driver) == LIMIT


def test_a_hold_grows_in_all_scopes_or_in_none(driver, window):
    limits = checks(
        scope("key:1", quota("key:1", window, 1000)), scope("tenant", quota("tenant", window, 40))
    )
    driver.seed_all(limits)
    driver.admit(ask(limits))

    assert driver.extend("req_1", 500)[:2] == [b"req_1", OK]
    assert driver.scope("key:1")[f"h:tokens:{window}"] == 40


def test_what_is_not_there_cannot_grow(driver, limits):
    assert driver.extend("req_1", 50)[1] == GONE


def test_an_old_window_is_swept_when_a_new_one_is_seeded(driver, limits, window):
    now = driver.now_us() // 1_000_000
    old = f"{now - 10 * 86400}-{now - 2 * 86400}"
    key = "tenantry:{1}:scope:tenant"
    driver.server.hset(key, mapping={f"u:tokens:{old}": 5, f"h:tokens:{old}": 0})
    driver.server.hset(key, mapping={f"u:cost:{old}": 5, f"h:cost:{old}": 7})

    driver.seed(totals(limits, used=1, version=1))

    assert f"u:tokens:{old}" not in driver.scope("tenant")
    assert driver.scope("tenant")[f"h:cost:{old}"] == 7


def test_a_scope_outlives_its_last_window_by_weeks(driver, limits):
    left_ms = driver.server.pttl("tenantry:{1}:scope:tenant")

    assert left_ms > 40 * 86400 * 1000


def test_recounting_puts_right_what_differs(driver, limits, window):
    driver.admit(ask(limits))
    key = "tenantry:{1}:scope:tenant"
    driver.server.hset(key, mapping={"c": 7, f"h:tokens:{window}": 3})

    found = driver.recount("tenant")

    assert sorted(found[n : n + 4] for n in range(0, len(found), 4)) == [
        [b"tenant", b"c", 7, 1],
        [b"tenant", f"h:tokens:{window}".encode(), 3, 30],
    ]
    assert driver.recount("tenant") == []
    assert (counted(driver), driver.scope("tenant")["c"]) == (30, 1)


def test_the_rival_keeps_everything_of_its_own(driver, limits):
    before = driver.scope("tenant", tenant_id=RIVAL)

    driver.admit(ask(limits))
    driver.settle(
        {"req_1": 5}, [CounterState(tenant_id=ACME, counter="tenant|tokens", window="1-2")]
    )

    assert driver.scope("tenant", tenant_id=RIVAL) == before
