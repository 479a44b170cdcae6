"""Limits in force: the plan's, less what the tenant overrides, and its own."""

from datetime import date, timedelta

import pytest
from django.db import OperationalError, connection

from tenants import services
from tenants.errors import LimitsUnknown
from tenants.limits import services as limit_services
from tenants.limits.effective import limits_with_origin, load_limits
from tenants.models import Tenant, User
from tenants.windows import Calendar
from tests.fixtures.limits.limits import (
    NOON,
    load,
    make_plan,
    only_quota,
    own_quota,
    own_rate,
    plan_quota,
    plan_rate,
)


@pytest.fixture
def plan(acme):
    plan = make_plan(default_max_completion_tokens=512)
    limit_services.set_plan(tenant=acme, plan=plan, now=NOON)
    return plan


def test_without_plan_and_limits_there_are_none(acme):
    limits = load(acme)

    assert (limits.rates, limits.quotas, limits.default_max_completion_tokens) == ((), (), 4096)


def test_a_tenant_has_its_plans_limits_and_not_its_neighbours(acme, rival, plan):
    plan_rate(plan, requests_per_minute=7, request_burst=3, concurrency=2)
    own_rate(rival, requests_per_minute=8)

    (rate,) = load(acme).rates

    assert (rate.requests_per_minute, rate.request_burst, rate.concurrency) == (7, 3, 2)
    assert (rate.per, rate.source, load(acme).default_max_completion_tokens) == (
        "tenant",
        "plan Starter",
        512,
    )
    assert [each.requests_per_minute for each in load(rival).rates] == [8]


def test_an_own_limit_takes_the_place_of_the_plans_and_others_stay(acme, plan):
    plan_rate(plan, requests_per_minute=7)
    plan_rate(plan, requests_per_minute=5, per="key")
    own_rate(acme, requests_per_minute=9)

    assert {(each.per, each.requests_per_minute, each.source) for each in load(acme).rates} == {
        ("tenant", 9, "tenant"),
        ("key", 5, "plan Starter"),
    }


@pytest.mark.parametrize("own", [{}, {"per": "key"}, {"route": "tiny"}, {"request_kind": "chat"}])
def test_a_limit_in_shadow_mode_stands_beside_the_plans(acme, plan, own):
    plan_rate(plan, requests_per_minute=20, concurrency=2, **own)
    plan_quota(plan, limit=100, **own)
    own_rate(acme, requests_per_minute=5, shadow=True, **own)
    own_quota(acme, limit=50, shadow=True, **own)

    limits = load(acme)

    assert [(each.source, each.shadow) for each in (*limits.rates, *limits.quotas)] == [
        ("plan Starter", False), ("tenant", True),
        ("plan Starter", False), ("tenant", True),
    ]  # fmt: skip
    assert not any(each.overridden for each in limits_with_origin(acme))


def test_a_plan_and_a_tenant_may_try_a_limit_beside_their_own_enforced_one(acme, plan):
    for shadow, limit in ((False, 100), (True, 50)):
        plan_quota(plan, limit=limit, shadow=shadow)
        plan_rate(plan, requests_per_minute=limit, shadow=shadow)
        own_quota(acme, limit=limit - 1, shadow=shadow)
        own_rate(acme, requests_per_minute=limit - 1, shadow=shadow)

    limits = load(acme)

    assert [(each.limit, each.shadow) for each in limits.quotas] == [(99, False), (49, True)]
    assert [(each.requests_per_minute, each.shadow) for each in limits.rates] == [
        (99, False),
        (49, True),
    ]


def test_each_of_both_modes_has_a_window_of_its_own(acme, plan):
    plan_quota(plan, period="day")
    own_quota(acme, period="day", start_hour=6, shadow=True)

    starts = {each.slot: each.pinned.start.hour for each in load(acme).quotas}

    assert starts == {"tenant|tokens|day": 0, "tenant|mode=shadow|tokens|day": 6}


@pytest.mark.parametrize(
    "other", [{"unit": "cost"}, {"period": "month"}, {"route": "tiny"}, {"request_kind": "chat"}]
)
def test_a_quota_of_another_slot_overrides_nothing(acme, plan, other):
    plan_quota(plan, unit="tokens", period="day")
    own_quota(acme, **{"unit": "tokens", "period": "day", **other})

    assert [each.source for each in load(acme).quotas] == ["plan Starter", "tenant"]


def test_a_limit_for_one_key_stands_beside_the_one_for_all(acme, plan):
    key = services.issue_key(tenant=acme, name="Laptop").key
    plan_rate(plan, per="key")
    own_rate(acme, per="key", api_key=key, requests_per_minute=1)

    every, one = load(acme).rates

    assert (every.key_id, every.source) == (None, "plan Starter")
    assert (one.key_id, one.source) == (key.pk, "key Laptop")


def test_a_limit_for_one_member_is_called_by_the_name(acme):
    ada = services.add_member(tenant=acme, user=User.objects.create_user("ada"))
    own_quota(acme, per="member", member=ada)

    quota = only_quota(acme)

    assert (quota.member_id, quota.source) == (ada.pk, "member ada")
    assert quota.slot == f"member:{ada.pk}|tokens|day"


def test_a_quota_says_all_that_its_row_says(acme):
    own_quota(
        acme, unit="cost", limit=5, period="months", every=2, anchor=date(2026, 1, 31),
        start_hour=6, time_zone="Asia/Tokyo", hard=False, alert_at=[100, 50], hold="extend",
        on_redis_outage="closed", outage_cap=3, roll_over=25, shadow=True,
    )  # fmt: skip

    quota = only_quota(acme)

    assert quota.calendar == Calendar(
        period="months", every=2, anchor=date(2026, 1, 31), start_hour=6, zone="Asia/Tokyo"
    )
    assert (quota.unit, quota.limit, quota.hard, quota.hold) == ("cost", 5, False, "extend")
    assert (quota.alert_at, quota.roll_over, quota.shadow) == ((50, 100), 25, True)
    assert (quota.on_redis_outage, quota.outage_cap) == ("closed", 3)


def test_without_a_zone_of_its_own_a_quota_has_its_tenants(acme, plan):
    plan_quota(plan)
    Tenant.objects.filter(pk=acme.pk).update(time_zone="Asia/Tokyo")

    assert only_quota(acme).calendar.zone == "Asia/Tokyo"


def fill(acme, plan):
    key = services.issue_key(tenant=acme, name="Laptop").key
    for unit in ("tokens", "requests", "cost"):
        for period in ("hour", "day", "month"):
            plan_quota(plan, unit=unit, period=period)
            own_quota(acme, unit=unit, period=period, per="key", api_key=key)
    for route in "abc":
        own_rate(acme, route=route, per="key", api_key=key)
        plan_rate(plan, route=route)


def test_many_limits_are_six_queries(acme, plan, django_assert_num_queries):
    fill(acme, plan)
    load(acme)

    with django_assert_num_queries(6):
        limits = load(acme)

    assert (len(limits.quotas), len(limits.rates)) == (18, 6)


def test_a_tenant_that_is_not_there_has_unknown_limits(db):
    with pytest.raises(LimitsUnknown):
        load_limits(999, now=NOON)


def test_while_the_database_is_away_limits_are_unknown(acme, monkeypatch):
    def away():
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away)
        with pytest.raises(LimitsUnknown):
            load(acme)


def test_people_see_which_rules_are_overridden_and_by_whom(acme, plan):
    key = services.issue_key(tenant=acme, name="Laptop").key
    plan_rate(plan, per="tenant")
    plan_rate(plan, per="key")
    own_rate(acme, per="tenant")
    own_rate(acme, per="key", api_key=key)

    seen = {
        (each.rule.per, each.rule.source): (each.overridden, each.except_for)
        for each in limits_with_origin(acme)
    }

    assert seen == {
        ("tenant", "plan Starter"): (True, ()),
        ("key", "plan Starter"): (False, ("key Laptop",)),
        ("tenant", "tenant"): (False, ()),
        ("key", "key Laptop"): (False, ()),
    }


def test_a_day_later_the_next_window_is_loaded(acme):
    own_quota(acme)
    first = only_quota(acme).pinned

    assert only_quota(acme, now=NOON + timedelta(days=1)).pinned.start == first.end
