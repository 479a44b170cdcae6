"""Which limits a request meets."""

import pytest

from tenants.admission.limits.compile import FOREVER
from tenants.admission.limits.price import Price
from tests.fixtures.limits.checks import (
    ANCHORED,
    DAILY,
    MONTHLY,
    NOW,
    caller,
    checks,
    only_quota,
    only_scope,
    quota,
    rate,
)


def names(found):
    return [scope.scope for scope in found.scopes]


def test_scopes_are_checked_from_the_narrowest():
    rules = [rate("tenant", concurrency=1), rate("member", concurrency=1)]

    assert names(checks(*rules, rate("key", concurrency=1))) == ["key:2", "member:3", "tenant"]


def test_a_rate_and_a_quota_of_one_scope_are_one_check():
    found = checks(rate(concurrency=5), quota(limit=7))

    assert (only_scope(found).concurrency, only_quota(found).limit) == (5, 7)


def test_a_caller_without_member_meets_no_limit_per_member():
    assert checks(rate("member", concurrency=1), member_id=None).scopes == ()


@pytest.mark.parametrize("facts", [{"route": "huge"}, {"request_kind": "embeddings"}])
def test_a_limit_of_other_requests_does_not_count(facts):
    assert checks(rate(concurrency=1, **facts)).scopes == ()


def test_a_limit_of_one_route_is_counted_apart():
    found = checks(rate(concurrency=1), rate(concurrency=1, route="tiny", request_kind="chat"))

    assert names(found) == ["tenant", "tenant|route=tiny|door=chat"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_limit_of_this_very_key_takes_the_place_of_the_one_of_every_key(order):
    rules = [rate("key", concurrency=1), rate("key", concurrency=9, key_id=2)]

    assert only_scope(checks(*rules[::order])).concurrency == 9


def test_a_limit_of_another_key_does_not_count():
    assert checks(rate("key", concurrency=1, key_id=99)).scopes == ()


def test_a_minute_is_cut_so_that_never_more_passes_than_was_allowed():
    scope = only_scope(checks(rate(requests_per_minute=7)))

    assert scope.request_us == 8_571_429
    assert scope.request_burst_us == 7 * 8_571_429


def test_a_burst_of_its_own_is_kept():
    scope = only_scope(checks(rate(requests_per_minute=60, request_burst=2)))

    assert scope.request_burst_us == 2_000_000


def test_without_a_rate_there_is_none():
    scope = only_scope(checks(quota()))

    assert (scope.request_us, scope.token_us, scope.concurrency) == (0, 0.0, 0)


@pytest.mark.parametrize(("unit", "taken"), [("tokens", 3000), ("requests", 1), ("cost", 5000)])
def test_each_unit_has_its_measure(unit, taken):
    price = Price(prompt=1_000_000, cached=500_000, completion=2_000_000)
    found = only_quota(checks(quota(unit=unit), price=price))

    assert found.amount(prompt=1000, completion=2000) == taken


def test_cached_tokens_have_a_price_of_their_own():
    found = only_quota(checks(quota(unit="cost"), price=Price(prompt=1_000_000, cached=500_000)))

    assert found.amount(prompt=1000, cached=600, completion=0) == 400 + 300


def test_a_cost_is_rounded_up():
    found = only_quota(checks(quota(unit="cost"), price=Price(prompt=1)))

    assert found.amount(prompt=1, completion=0) == 1


def test_checks_hold_until_the_first_window_ends():
    found = checks(quota(), quota(calendar=DAILY))

    ends = [each.end for each in only_scope(found).quotas]
    assert found.valid_until == min(ends)
    assert found.valid_until > NOW


def test_without_a_quota_they_hold_for_ever():
    assert checks(rate(concurrency=1)).valid_until == FOREVER


def test_two_calendars_that_agree_on_a_window_are_one_counter_with_the_tighter_limit():
    found = checks(quota(calendar=DAILY, limit=50), quota(calendar=ANCHORED, limit=20))

    assert only_quota(found).limit == 20


def test_a_soft_quota_does_not_loosen_a_hard_one():
    found = checks(quota(calendar=DAILY, limit=50), quota(calendar=ANCHORED, limit=20, hard=False))

    assert (only_quota(found).limit, only_quota(found).hard) == (50, True)


def test_shadow_mode_refuses_nothing():
    found = checks(quota(shadow=True), rate(concurrency=1, shadow=True))

    assert not only_quota(found).hard
    assert not only_scope(found).enforced


def test_a_quota_in_shadow_mode_counts_beside_the_enforced_one():
    found = checks(quota("key", limit=20), quota("key", limit=5, key_id=2, shadow=True))

    assert names(found) == ["key:2", "key:2|mode=shadow"]
    assert [(each.quotas[0].limit, each.quotas[0].hard) for each in found.scopes] == [
        (20, True),
        (5, False),
    ]


def test_a_rate_in_shadow_mode_counts_beside_the_enforced_one():
    found = checks(
        rate("key", requests_per_minute=20, concurrency=3),
        rate("key", requests_per_minute=5, key_id=2, shadow=True),
    )

    assert [(each.enforced, each.concurrency) for each in found.scopes] == [(True, 3), (False, 0)]


def test_limits_in_shadow_mode_take_each_others_place():
    rules = [quota("key", limit=9, shadow=True), quota("key", limit=5, key_id=2, shadow=True)]

    assert only_quota(checks(*rules)).limit == 5


@pytest.mark.parametrize(
    ("facts", "cap"),
    [
        ({}, 100),
        ({"outage_cap": 5}, 5),
        ({"limit": 3}, 1),
        ({"outage_cap": 0}, 0),
        ({"on_redis_outage": "closed", "outage_cap": 5}, 0),
    ],
)
def test_what_is_allowed_while_redis_is_away(facts, cap):
    assert only_quota(checks(quota(**facts))).outage_cap == cap


def test_callers_that_differ_in_anything_have_checks_of_their_own():
    callers = [caller(), caller(key_id=9), caller(member_id=None), caller(route="b")]

    assert len({*callers, caller(request_kind="embeddings"), caller(price=Price(prompt=1))}) == 6


def test_the_window_is_the_one_of_the_moment():
    found = only_quota(checks(quota(calendar=MONTHLY)))

    assert found.start <= NOW < found.end
