"""The console's pages about plans."""

import pytest
from auditlog.models import LogEntry
from django.urls import reverse

from kernel.models import Publication
from tenants.limits import services as limit_services
from tenants.models import Plan, PlanQuota, PlanRateLimit
from tests.fixtures.console.limit_forms import QUOTA, RATE, plan_form, sentences
from tests.fixtures.limits.limits import make_plan, plan_quota, plan_rate


def page(name, *args):
    return reverse(f"admin:tenants_plan_{name}", args=args)


def put_on(plan, *tenants, now):
    for tenant in tenants:
        limit_services.set_plan(tenant=tenant, plan=plan, now=now)


@pytest.fixture
def starter(db):
    plan = make_plan()
    plan_rate(plan, requests_per_minute=600, concurrency=20)
    plan_quota(plan, limit=2_000_000, period="month")
    return plan


def test_a_plan_is_made_with_its_limits(console):
    console.post(page("add"), plan_form(rates=[RATE], quotas=[QUOTA]))
    assert PlanRateLimit.objects.get().requests_per_minute == 600
    assert (PlanQuota.objects.get().limit, PlanQuota.objects.get().alert_at) == (
        2_000_000,
        [80, 100],
    )


def test_the_gateways_are_told(console):
    console.post(page("add"), plan_form(quotas=[QUOTA]))
    assert Publication.objects.filter(topic="limits:0").exists()


def test_a_rule_is_changed_and_another_deleted(console, starter):
    rate, quota = PlanRateLimit.objects.get(), PlanQuota.objects.get()
    changed = {**QUOTA, "id": quota.pk, "plan": starter.pk, "limit": "5"}
    gone = {**RATE, "id": rate.pk, "plan": starter.pk, "DELETE": "on"}
    console.post(
        page("change", starter.pk), plan_form(rates=[gone], quotas=[changed], stored=(1, 1))
    )
    assert not PlanRateLimit.objects.exists()
    assert PlanQuota.objects.get().limit == 5


def test_the_list_tells_limits_and_tenants(console, starter, acme):
    limit_services.set_plan(tenant=acme, plan=starter, now=starter.created_at)
    text = sentences(console.get(page("changelist")))
    assert "600 requests a minute, 20 running at the same time · 2,000,000 tokens a month" in text
    assert f"plan__id__exact={starter.pk}" in text


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"limit": "0"}, "above 0"),
        ({"limit": "-5"}, "above 0"),
        ({"limit": "9" * 30}, "at most 1,000,000,000,000,000"),
        ({"unit": ""}, "This field is required"),
        ({"time_zone": "Mars/Olympus"}, "Mars/Olympus is not a time zone"),
        ({"period": "days"}, "Set the day from which the periods are counted"),
        ({"route": "gone"}, "Route “gone” does not exist"),
        ({"alert_at": "80,often"}, "Enter a whole number"),
        ({"alert_at": "0"}, "greater than or equal to 1"),
        ({"start_hour": "24"}, "less than or equal to 23"),
        ({"roll_over": "101"}, "less than or equal to 100"),
    ],
)
def test_a_quota_that_makes_no_sense_is_refused_with_a_sentence(console, facts, says):
    answer = console.post(page("add"), plan_form(quotas=[{**QUOTA, **facts}]))
    assert says in sentences(answer)
    assert not Plan.objects.exists()


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"request_burst": "0"}, "greater than or equal to 1"),
        ({"requests_per_minute": "-1"}, "greater than or equal to"),
        ({"token_burst": "5"}, "A burst needs tokens per minute"),
        (
            {"requests_per_minute": "", "concurrency": "", "request_kind": "chat"},
            "Set requests per minute, tokens per minute or concurrency",
        ),
    ],
)
def test_a_rate_limit_that_makes_no_sense_is_refused_with_a_sentence(console, facts, says):
    answer = console.post(page("add"), plan_form(rates=[{**RATE, **facts}]))
    assert says in sentences(answer)
    assert not Plan.objects.exists()


def test_the_same_quota_twice_is_refused_with_a_sentence(console):
    twice = [QUOTA, {**QUOTA, "limit": "5"}]
    answer = console.post(page("add"), plan_form(quotas=twice))
    assert "Two rules are for the same requests" in sentences(answer)
    assert not Plan.objects.exists()


def test_quotas_of_another_period_live_side_by_side(console):
    console.post(page("add"), plan_form(quotas=[QUOTA, {**QUOTA, "period": "day"}]))
    assert PlanQuota.objects.count() == 2


def test_what_a_period_does_not_have_is_forgotten(console):
    anchored = {**QUOTA, "every": "3", "anchor": "2026-01-31"}
    console.post(page("add"), plan_form(quotas=[anchored]))
    assert (PlanQuota.objects.get().every, PlanQuota.objects.get().anchor) == (1, None)


def test_a_route_is_chosen_from_those_that_exist(console, route):
    assert ">smollm2</option>" in sentences(console.get(page("add")))
    console.post(page("add"), plan_form(quotas=[{**QUOTA, "route": "smollm2"}]))
    assert PlanQuota.objects.get().route == "smollm2"


def test_a_limit_for_a_deleted_route_can_still_be_changed(console, starter):
    PlanQuota.objects.update(route="gone")
    kept = {**QUOTA, "route": "gone", "id": PlanQuota.objects.get().pk, "plan": starter.pk}
    console.post(
        page("change", starter.pk), plan_form(quotas=[{**kept, "limit": "7"}], stored=(0, 1))
    )
    assert PlanQuota.objects.get().limit == 7


def test_a_plan_in_use_is_not_deleted_and_says_by_whom(console, starter, acme, rival):
    put_on(starter, acme, rival, now=starter.created_at)
    text = sentences(console.post(page("delete", starter.pk), {"post": "yes"}))
    assert "Acme" in text
    assert "Rival" in text
    assert Plan.objects.exists()


def test_a_plan_in_use_is_not_deleted_among_others(console, starter, acme):
    put_on(starter, acme, now=starter.created_at)
    other = make_plan("Unused")
    body = {"action": "delete_selected", "_selected_action": [starter.pk, other.pk], "post": "yes"}
    assert "Acme" in sentences(console.post(page("changelist"), body, follow=True))
    assert Plan.objects.count() == 2


def test_an_unused_plan_is_deleted(console, starter):
    console.post(page("delete", starter.pk), {"post": "yes"})
    assert not Plan.objects.exists()


def test_unused_plans_are_deleted_together(console, starter):
    body = {"action": "delete_selected", "_selected_action": [starter.pk], "post": "yes"}
    console.post(page("changelist"), body)
    assert not Plan.objects.exists()


def test_the_audit_log_says_who_changed_a_limit(console, operator, starter):
    changed = {**QUOTA, "id": PlanQuota.objects.get().pk, "plan": starter.pk, "limit": "5"}
    console.post(page("change", starter.pk), plan_form(quotas=[changed], stored=(0, 1)))
    entry = LogEntry.objects.get_for_object(PlanQuota.objects.get()).latest("pk")
    assert (entry.actor, entry.changes_dict["limit"]) == (operator, ["2000000", "5"])
