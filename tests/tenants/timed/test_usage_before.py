"""A quota that comes in the middle of its window begins with what was used in it."""

from datetime import UTC, datetime, timedelta

import pytest

from tenants import services
from tenants.ledger import load_counters, reconciliation
from tenants.limits import services as limit_services
from tenants.limits.report import report_limits
from tenants.models import QuotaUsage, Tenant, UsageHour, User
from tests.fixtures.limits.limits import NOON, load, make_plan, own_quota, plan_quota

MORNING = datetime(2026, 3, 10, 8, tzinfo=UTC)


def use(tenant, *, hour=MORNING, requests=14, **facts):
    usual = {"route": "tiny", "door": "chat_completions", "prompt_tokens": 10 * requests}
    UsageHour._base_manager.create(
        tenant_id=tenant.pk, hour=hour, requests=requests, **{**usual, **facts}
    )


def used(tenant, *, now=NOON):
    """By counter, of the quotas in force."""
    load(tenant, now=now)
    rows = QuotaUsage._base_manager.filter(tenant=tenant, ends_at__gt=now)
    return {row.counter: row.used for row in rows}


@pytest.mark.parametrize(("unit", "amount"), [("requests", 12), ("tokens", 160), ("cost", 7)])
def test_each_unit_is_carried(acme, rival, unit, amount):
    use(acme, failed=2, completion_tokens=20, cost_micro=7)
    use(rival, requests=99)
    own_quota(acme, unit=unit)
    assert used(acme) == {f"tenant|{unit}": amount}


def test_what_was_used_before_the_window_is_not(acme):
    use(acme, hour=MORNING - timedelta(days=1))
    own_quota(acme, unit="requests")
    assert used(acme) == {}


def test_routes_and_kinds_are_told_apart(acme):
    use(acme, requests=1, route="tiny")
    use(acme, requests=2, route="huge")
    use(acme, requests=4, route="tiny", door="embeddings")
    for facts in ({"route": "tiny"}, {"request_kind": "chat"}, {"request_kind": "embeddings"}):
        own_quota(acme, unit="requests", **facts)
    assert used(acme) == {
        "tenant|route=tiny|requests": 5,
        "tenant|door=chat|requests": 3,
        "tenant|door=embeddings|requests": 4,
    }


def test_keys_count_with_those_that_they_replaced_and_members_by_themselves(acme):
    ada = services.add_member(tenant=acme, user=User.objects.create_user("ada"))
    old = services.issue_key(tenant=acme, name="k").key
    new = services.rotate_key(key=old, now=NOON).key
    use(acme, requests=1, api_key_id=old.pk, member_id=ada.pk)
    use(acme, requests=2, api_key_id=new.pk)
    own_quota(acme, unit="requests", per="key")
    own_quota(acme, unit="requests", per="member")
    assert used(acme) == {f"key:{old.pk}|requests": 3, f"member:{ada.pk}|requests": 1}


@pytest.mark.parametrize("how", ["plan", "rule of a plan", "period", "shadow"])
def test_however_a_quota_comes_it_begins_with_what_was_used(acme, how):
    use(acme)
    plan = make_plan()
    if how == "rule of a plan":
        limit_services.set_plan(tenant=acme, plan=plan, now=NOON)
    plan_quota(plan, unit="requests", period="day")
    if how == "plan":
        limit_services.set_plan(tenant=acme, plan=plan, now=NOON)
    counter = "tenant|requests"
    if how in {"period", "shadow"}:
        rule = own_quota(acme, unit="requests", period="month")
        QuotaUsage._base_manager.all().delete()
        if how == "period":
            rule.period = "day"
        else:
            rule.shadow, counter = True, "tenant|mode=shadow|requests"
        limit_services.save_quota(rule=rule, now=NOON)
    assert used(acme) == {counter: 14}


def test_a_quota_that_was_away_for_a_while_makes_up_for_it(acme):
    rule = own_quota(acme, unit="requests")
    window = load(acme).quotas[0].pinned
    QuotaUsage._base_manager.create(
        tenant=acme, counter="tenant|requests", window=window.id, ends_at=window.end, used=3
    )
    limit_services.delete_limit(rule=rule, now=NOON)
    use(acme, requests=10)

    own_quota(acme, unit="requests")

    row = QuotaUsage._base_manager.get()
    assert (row.used, row.carried) == (10, 7)


def test_what_counted_exactly_goes_on_when_only_its_limit_is_changed(acme):
    rule = own_quota(acme, unit="requests", limit=100)
    load(acme)
    use(acme, requests=10)
    rule.limit = 200
    limit_services.save_quota(rule=rule, now=NOON)
    assert used(acme) == {}


def test_a_quota_of_one_key_goes_on_where_that_of_all_keys_was(acme):
    key = services.issue_key(tenant=acme, name="k").key
    own_quota(acme, unit="requests", per="key")
    load(acme)
    use(acme, requests=10, api_key_id=key.pk)
    own_quota(acme, unit="requests", per="key", api_key=key)
    assert used(acme) == {}


def test_the_next_window_begins_with_nothing(acme):
    own_quota(acme, unit="requests")
    load(acme)
    use(acme, hour=MORNING + timedelta(days=1))
    assert used(acme, now=NOON + timedelta(days=1)) == {}


def test_gateways_read_it_and_pages_say_what_is_approximate(acme):
    use(acme)
    own_quota(acme, unit="requests")
    window = load(acme).quotas[0].pinned

    (state,) = load_counters(acme.pk, [("tenant|requests", window.id)])
    report = report_limits(Tenant.objects.get(pk=acme.pk), now=NOON, live=None)
    (row,) = report.quotas[0].counted.rows

    assert (state.used, row.used, row.carried) == (14, 14, 14)


def test_reconciliation_does_not_call_it_drift(acme):
    use(acme)
    own_quota(acme, unit="requests")
    assert used(acme) == {"tenant|requests": 14}
    assert reconciliation.find_counter_drift(now=NOON, tenant_id=acme.pk) == []
    assert reconciliation.raise_counters(now=NOON, tenant_id=acme.pk) == []
