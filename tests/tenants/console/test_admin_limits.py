"""The console's pages about rate limits and quotas of one tenant."""

import pytest
from django.urls import reverse
from django.utils import timezone

from kernel.models import Publication
from tenants import services
from tenants.models import Membership, Quota, QuotaUsage, RateLimit
from tenants.windows import Calendar, window_at
from tests.fixtures.console.limit_forms import QUOTA, RATE, add_quota, sentences
from tests.fixtures.console.people import make_person, rows
from tests.fixtures.limits.limits import make_plan

__all__ = ["add_quota"]


def page(name, *args):
    return reverse(f"admin:tenants_{name}", args=args)


def use(tenant, amount, *, counter="tenant|tokens"):
    """Note that a tenant used so many tokens this month."""
    window = window_at(timezone.now(), Calendar(period="month"))
    QuotaUsage._base_manager.create(
        tenant=tenant, counter=counter, window=window.id, ends_at=window.end, used=amount, version=1
    )


def test_a_quota_is_made_for_one_tenant(add_quota, acme, rival):
    add_quota()
    assert rows(Quota).get().tenant == acme
    assert Publication.objects.filter(topic=f"limits:{acme.pk}").exists()
    assert not Publication.objects.filter(topic=f"limits:{rival.pk}").exists()


def test_a_rate_limit_is_made_and_deleted(console, acme):
    console.post(page("ratelimit_add"), {"tenant": acme.pk, **RATE})
    limit = rows(RateLimit).get()
    assert (limit.requests_per_minute, limit.concurrency) == (600, 20)
    console.post(page("ratelimit_delete", limit.pk), {"post": "yes"})
    assert not rows(RateLimit).exists()


def test_the_same_quota_again_is_an_error_of_the_form(add_quota):
    add_quota()
    assert "There is a quota of this unit and period" in sentences(add_quota(limit="5"))
    assert rows(Quota).get().limit == 2_000_000


def test_a_change_into_the_same_quota_is_an_error_of_the_form(add_quota, console):
    add_quota()
    add_quota(period="day")
    daily = rows(Quota).get(period="day")
    answer = console.post(page("quota_change", daily.pk), QUOTA)
    assert "There is a quota of this unit and period" in sentences(answer)


def test_another_tenant_may_have_the_same(add_quota, rival):
    add_quota()
    add_quota(tenant=rival.pk)
    assert rows(Quota).count() == 2


def test_a_limit_is_for_keys_of_its_tenant_only(add_quota, rival):
    key = services.issue_key(tenant=rival, name="k").key
    answer = add_quota(per="key", api_key=key.pk)
    assert "The key belongs to another tenant" in sentences(answer)


def test_a_limit_is_for_members_of_its_tenant_only(add_quota, rival):
    make_person(rival, "viewer")
    answer = add_quota(per="member", member=rows(Membership).get().pk)
    assert "The member belongs to another tenant" in sentences(answer)


def test_a_hidden_key_is_forgotten(add_quota, acme):
    key = services.issue_key(tenant=acme, name="k").key
    add_quota(per="tenant", api_key=key.pk)
    assert rows(Quota).get().api_key is None


def test_a_quota_below_what_was_used_is_taken_with_a_warning(add_quota, acme, console):
    use(acme, 1500)
    add_quota(limit="1000")
    text = sentences(console.get(page("quota_changelist")))
    assert "The usage has reached this limit already: 1,500 tokens. New requests are" in text
    assert rows(Quota).get().limit == 1000


@pytest.mark.parametrize("facts", [{"limit": "2000"}, {"hard": ""}, {"shadow": "on"}])
def test_a_quota_that_refuses_nobody_warns_of_nothing(add_quota, acme, console, facts):
    use(acme, 1500)
    add_quota(**{"limit": "1000", **facts})
    assert "has reached this limit" not in sentences(console.get(page("quota_changelist")))


def test_what_another_tenant_used_is_no_reason_to_warn(add_quota, rival, console):
    use(rival, 1500)
    add_quota(limit="1000")
    assert "has reached this limit" not in sentences(console.get(page("quota_changelist")))


def test_only_fields_that_make_sense_are_shown(console):
    text = console.get(page("quota_add")).content.decode()
    assert "x-show=\"period == 'days' || period == 'months'\"" in text.replace("&#x27;", "'")


def test_an_anchored_quota_is_made(add_quota):
    add_quota(period="months", every="2", anchor="2026-01-31")
    quota = rows(Quota).get()
    assert (quota.every, f"{quota.anchor}") == (2, "2026-01-31")


def test_a_tenant_gets_a_plan_on_its_page(console, acme):
    plan = make_plan()
    body = {"name": "Acme", "time_zone": "UTC", "plan": plan.pk}
    console.post(page("tenant_change", acme.pk), body)
    acme.refresh_from_db()
    assert acme.plan == plan


def test_a_cost_is_typed_and_shown_in_the_currency(add_quota, console):
    add_quota(unit="cost", limit="12.50", outage_cap="0.000045")
    quota = rows(Quota).get()
    assert (quota.limit, quota.outage_cap) == (12_500_000, 45)

    shown = console.get(page("quota_change", quota.pk)).content.decode()
    assert 'value="12.50"' in shown
    assert 'value="0.000045"' in shown
    assert "cost of 12.50 a month" in console.get(page("quota_changelist")).content.decode()


@pytest.mark.parametrize(
    ("typed", "told"), [({"limit": "1.5"}, "whole number"), ({"limit": ""}, "required")]
)
def test_what_is_no_amount_is_an_error_of_its_field(add_quota, typed, told):
    assert told in sentences(add_quota(**typed))
    assert not rows(Quota).exists()
