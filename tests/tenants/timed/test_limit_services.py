"""Services of plans and limits: what each stores, whom it tells, what it refuses."""

import pytest
from django.core.exceptions import ValidationError

from kernel.publishing.publish import latest_revision, revisions_after
from tenants import services
from tenants.errors import LimitExists, PlanInUse, TopUpDiffers, WindowOver
from tenants.limits import services as limit_services
from tenants.models import Plan, PlanQuota, QuotaTopUp, QuotaUsage, Tenant, User
from tenants.scoping import every_tenant, tenant_scope
from tests.fixtures.limits.limits import (
    NOON,
    make_plan,
    only_quota,
    own_quota,
    own_rate,
    plan_quota,
    plan_rate,
)


@pytest.fixture
def plan(db):
    return make_plan()


def topics(change):
    before = latest_revision()
    change()
    return {topic for _, topic in revisions_after(before)}


PLAN_CHANGES = {
    "save_plan": lambda plan: limit_services.save_plan(plan=plan),
    "rate": plan_rate,
    "quota": plan_quota,
    "delete": lambda plan: limit_services.delete_plan_limit(rule=plan_rate(plan), now=NOON),
}
OWN_CHANGES = {
    "rate": own_rate,
    "quota": own_quota,
    "delete": lambda tenant: limit_services.delete_limit(rule=own_quota(tenant), now=NOON),
    "plan": lambda tenant: limit_services.set_plan(tenant=tenant, plan=make_plan("B"), now=NOON),
}


@pytest.mark.parametrize("change", PLAN_CHANGES)
def test_a_change_of_a_plan_is_told_for_every_tenant(plan, change):
    assert topics(lambda: PLAN_CHANGES[change](plan)) == {"limits:0"}


@pytest.mark.parametrize("change", OWN_CHANGES)
def test_a_change_of_a_tenants_limits_is_told_for_it(acme, change):
    told = topics(lambda: OWN_CHANGES[change](acme))

    assert told - {"limits:0"} == {f"limits:{acme.pk}"}


def test_a_tenants_new_time_zone_is_told_to_its_limits(acme):
    acme.time_zone = "Asia/Tokyo"

    assert f"limits:{acme.pk}" in topics(lambda: services.save_tenant(tenant=acme))


def test_a_plan_in_use_is_not_deleted_and_its_tenants_are_named(acme, rival, plan):
    for tenant in (acme, rival):
        limit_services.set_plan(tenant=tenant, plan=plan, now=NOON)

    with pytest.raises(PlanInUse, match="acme and rival are on this plan"):
        limit_services.delete_plan(plan=plan)

    assert Plan.objects.exists()


def test_of_many_tenants_ten_are_named(plan):
    for number in range(13):
        tenant = services.create_tenant(slug=f"t{number:02}", name="T")
        limit_services.set_plan(tenant=tenant, plan=plan, now=NOON)

    with pytest.raises(PlanInUse, match="t08, t09 and 3 more tenants are"):
        limit_services.delete_plan(plan=plan)


def test_a_plan_without_tenants_goes_with_its_limits(acme, plan):
    plan_quota(plan)
    limit_services.set_plan(tenant=acme, plan=plan, now=NOON)
    limit_services.set_plan(tenant=acme, plan=None, now=NOON)

    limit_services.delete_plan(plan=plan)

    assert not PlanQuota.objects.exists()
    assert Tenant.objects.get(slug="acme").plan is None


@pytest.mark.parametrize("make", [own_quota, own_rate])
def test_a_second_limit_for_the_same_requests_is_refused(acme, rival, make):
    make(acme)
    make(rival)

    with pytest.raises(LimitExists):
        make(acme)


def test_a_limit_is_changed_in_its_place(acme):
    rule = own_quota(acme)
    rule.limit = 5
    limit_services.save_quota(rule=rule, now=NOON)

    assert only_quota(acme).limit == 5


@pytest.mark.parametrize(
    "facts",
    [
        {"limit": 0},
        {"limit": 10**16},
        {"period": "days"},
        {"every": 2},
        {"start_hour": 24},
        {"time_zone": "Mars/Olympus"},
        {"unit": "cookies"},
        {"per": "member", "api_key": "mine"},
    ],
)
def test_a_quota_with_impossible_facts_is_not_made(acme, facts):
    if "api_key" in facts:
        facts = {**facts, "api_key": services.issue_key(tenant=acme, name="k").key}
    with pytest.raises(ValidationError):
        own_quota(acme, **facts)


def test_a_limit_is_never_for_another_tenants_key(acme, rival):
    key = services.issue_key(tenant=rival, name="theirs").key

    with pytest.raises(ValidationError):
        own_quota(acme, per="key", api_key=key)


@pytest.fixture
def window(acme):
    """Acme's running window."""
    own_quota(acme)
    return only_quota(acme).pinned


def top_up(tenant, window, amount=100, **facts):
    given = {"counter": "tenant|tokens", "reason": "a good customer", "by": None, "now": NOON}
    return limit_services.grant_top_up(
        tenant_id=tenant.pk, window=window.id, amount=amount, **{**given, **facts}
    )


def usage(tenant):
    with tenant_scope(tenant.pk):
        return QuotaUsage.objects.get()


def test_a_top_up_adds_to_what_was_granted(acme, rival, window):
    olga = User.objects.create_user("olga")
    top_up(acme, window, 100)
    row = top_up(acme, window, 50, by=olga)

    found = usage(acme)
    assert (found.used, found.granted, found.version) == (0, 150, 2)
    assert (found.ends_at, found.window) == (window.end, window.id)
    assert (row.granted_by, row.reason) == (olga, "a good customer")
    with tenant_scope(rival.pk):
        assert not QuotaUsage.objects.exists()


def test_a_top_up_leaves_what_was_used(acme, window):
    with tenant_scope(acme.pk):
        QuotaUsage.objects.create(
            tenant=acme, counter="tenant|tokens", window=window.id, ends_at=window.end, used=7
        )

    top_up(acme, window, 100)

    assert (usage(acme).used, usage(acme).granted, usage(acme).version) == (7, 100, 1)


def test_the_same_top_up_twice_is_granted_once(acme, rival, window):
    first = top_up(acme, window, key="order-7")
    again = top_up(acme, window, key="order-7")
    top_up(rival, window, key="order-7")

    assert first.pk == again.pk
    assert usage(acme).granted == 100


def test_a_key_stands_for_one_top_up(acme, window):
    top_up(acme, window, 100, key="order-7")

    with pytest.raises(TopUpDiffers):
        top_up(acme, window, 101, key="order-7")

    assert usage(acme).granted == 100


def test_nothing_is_granted_in_a_window_that_is_over(acme, window):
    with pytest.raises(WindowOver):
        top_up(acme, window, now=window.end)

    with every_tenant():
        assert not QuotaTopUp.objects.exists()


@pytest.mark.parametrize(
    "facts", [{"amount": 0}, {"amount": 10**16}, {"reason": ""}, {"counter": ""}]
)
def test_a_top_up_with_impossible_facts_is_refused(acme, window, facts):
    with pytest.raises(ValidationError):
        top_up(acme, window, **facts)


@pytest.mark.parametrize("window_id", ["soon", "1-2-x", "", f"0-{10**20}"])
def test_a_top_up_names_a_real_window(acme, window_id):
    with pytest.raises(ValidationError):
        limit_services.grant_top_up(
            tenant_id=acme.pk, counter="tenant|tokens", window=window_id,
            amount=1, reason="x", by=None, now=NOON,
        )  # fmt: skip


def test_a_top_up_leaves_a_trace(acme, window):
    from auditlog.models import LogEntry

    row = top_up(acme, window)

    assert LogEntry.objects.get_for_object(row).get().changes["amount"] == ["None", "100"]
