"""The page of a tenant's limits: where each comes from, how it stands, and what is granted."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from auditlog.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from tenants import services
from tenants.limits import services as limit_services
from tenants.models import QuotaTopUp, QuotaUsage
from tenants.windows import Calendar, window_at
from tests.fixtures.console.limit_forms import QUOTA, sentences
from tests.fixtures.console.people import rows
from tests.fixtures.limits.limits import make_plan, own_quota, own_rate, plan_quota, plan_rate


def page(name, *args):
    return reverse(f"admin:tenants_{name}", args=args)


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def starter(acme, now):
    plan = make_plan()
    plan_rate(plan, requests_per_minute=600, concurrency=20)
    plan_quota(plan, limit=2_000_000, period="month", now=now)
    limit_services.set_plan(tenant=acme, plan=plan, now=now)
    return plan


def use(tenant, amount, *, counter="tenant|tokens", **facts):
    window = window_at(timezone.now(), Calendar(period="month"))
    QuotaUsage._base_manager.create(
        tenant=tenant,
        counter=counter,
        window=window.id,
        ends_at=window.end,
        used=amount,
        version=1,
        **facts,
    )
    return window


def shown(console, tenant):
    text = re.sub(r"<[^>]+>", " ", sentences(console.get(page("tenant_limits", tenant.pk))))
    return " ".join(text.split())


def test_a_tenant_without_limits_is_told_so(console, acme):
    text = shown(console, acme)
    assert "No quota: the usage of this tenant is unlimited" in text
    assert "No rate limit" in text


def test_limits_of_the_plan_are_shown_with_their_source(console, acme, starter):
    text = shown(console, acme)
    assert "2,000,000 tokens a month hard from plan Starter" in text
    assert "600 requests a minute, 20 running at the same time" in text


def test_another_tenants_limits_are_not_shown(console, acme, rival, starter, now):
    own_quota(rival, limit=77, now=now)
    assert "77 tokens" not in shown(console, acme)
    assert "2,000,000 tokens" not in shown(console, rival)


def test_what_was_used_is_shown_with_what_is_left(console, acme, rival, starter):
    use(acme, 500_000)
    use(rival, 9)
    text = shown(console, acme)
    assert "500,000 used" in text
    assert "1,500,000 left" in text
    assert "25 %" in text


def test_a_top_up_adds_to_what_is_left(console, acme, starter):
    use(acme, 2_000_000, granted=1000)
    assert "1,000 left · 1,000 granted on top" in shown(console, acme)


def test_an_overridden_rule_says_what_takes_its_place(console, acme, starter, now):
    own_quota(acme, limit=5, period="month", now=now)
    text = shown(console, acme)
    assert "Not in force: the rule of tenant replaces it" in text
    assert "5 tokens a month hard from tenant" in text


def test_keys_are_listed_by_what_they_used(console, acme, now):
    own_quota(acme, per="key", limit=100, period="month", now=now)
    for number in range(12):
        key = services.issue_key(tenant=acme, name=f"key{number:02}").key
        use(acme, number, counter=f"key:{key.pk}|tokens")
    text = shown(console, acme)
    assert text.index("key11") < text.index("key10") < text.index("key02")
    assert "key01" not in text
    assert "and 2 more keys with less" in text


def test_a_key_with_a_quota_of_its_own_is_listed_there_only(console, acme, now):
    key = services.issue_key(tenant=acme, name="laptop").key
    own_quota(acme, per="key", limit=100, period="month", now=now)
    own_quota(acme, per="key", api_key=key, limit=7, period="month", now=now)
    use(acme, 3, counter=f"key:{key.pk}|tokens")
    text = shown(console, acme)
    assert "It does not apply to key laptop" in text
    assert text.count("3 used") == 1


def test_a_reset_is_told_in_the_tenants_zone_and_in_utc(console, acme, now):
    acme.time_zone = "Asia/Tokyo"
    services.save_tenant(tenant=acme)
    own_quota(acme, period="day", now=now)
    text = shown(console, acme)
    assert re.search(r"Resets \d{4}-\d\d-\d\d 00:00 in Asia/Tokyo \(\S+ 15:00 UTC\), in \d", text)


def test_modes_are_told(console, acme, now):
    own_quota(acme, limit=1, hard=False, now=now)
    own_rate(acme, shadow=True)
    text = shown(console, acme)
    assert "1 token a day soft" in text
    assert "60 requests a minute shadow" in text


def test_names_are_escaped(console, acme, now):
    key = services.issue_key(tenant=acme, name="<script>alert(1)</script>").key
    own_quota(acme, per="key", api_key=key, limit=7, period="month", now=now)
    assert "<script>alert" not in console.get(page("tenant_limits", acme.pk)).content.decode()


def test_the_part_that_refreshes_itself_is_sent_alone(console, acme, starter):
    answer = console.get(page("tenant_limits", acme.pk), headers={"HX-Request": "true"})
    text = answer.content.decode()
    assert "2,000,000 tokens a month" in text
    assert "<html" not in text


def test_a_refresh_asks_few_questions(console, acme, starter, django_assert_max_num_queries):
    console.get(page("tenant_limits", acme.pk))
    with django_assert_max_num_queries(14):
        console.get(page("tenant_limits", acme.pk), headers={"HX-Request": "true"})


def test_override_opens_a_form_that_is_filled_in(console, acme, starter):
    text = sentences(console.get(page("tenant_limits", acme.pk)))
    places = re.findall(r'href="([^"]+)">Override for this tenant', text)
    form = sentences(console.get(places[0].replace("&amp;", "&")))
    assert parse_qs(urlsplit(places[0].replace("&amp;", "&")).query)["alert_at"] == ["80,100"]
    assert 'value="2000000"' in form
    assert "Acme" in form


def test_who_came_from_the_limits_goes_back_there(console, acme, now):
    quota = own_quota(acme, limit=7, now=now)
    place = f"{page('quota_change', quota.pk)}?from=limits"
    answer = console.post(place, {**QUOTA, "period": "day", "_save": "Save"})
    assert answer["Location"] == page("tenant_limits", acme.pk)


def key_in(question):
    found = re.search(r'name="key" value="([^"]+)"', sentences(question))
    return found[1] if found else "none"


@pytest.fixture
def grant(console, acme, starter):
    """Answer the question that the link `Grant top-up` leads to."""
    window = use(acme, 1_999_999)
    keys = {}

    def send(tenant=acme, counter="tenant|tokens", window=window.id, **answers):
        asked = urlencode({"counter": counter, "window": window})
        place = f"{page('tenant_top_up', tenant.pk)}?{asked}"
        # A second answer to the same form is the same top-up.
        key = keys.setdefault(place, key_in(console.get(place)))
        given = {"amount": "1000", "reason": "Launch day", "key": key, **answers}
        return console.post(place, given)

    return send


def test_a_top_up_asks_first(console, acme, starter):
    text = sentences(console.get(page("tenant_limits", acme.pk)))
    (place,) = re.findall(r'href="([^"]+)">Grant top-up', text)
    question = sentences(console.get(place.replace("&amp;", "&")))
    assert "It is added to 2,000,000 tokens a month within a second" in question
    assert page("tenant_limits", acme.pk) in question
    assert not rows(QuotaTopUp).exists()


def test_a_top_up_is_granted_once_and_audited(grant, acme, operator):
    assert grant()["Location"] == page("tenant_limits", acme.pk)
    grant()
    top_up = rows(QuotaTopUp).get()
    assert (top_up.amount, top_up.reason, top_up.granted_by) == (1000, "Launch day", operator)
    assert rows(QuotaUsage).get().granted == 1000
    assert LogEntry.objects.get_for_object(top_up).get().actor == operator


@pytest.mark.parametrize("answers", [{"amount": "0"}, {"amount": "-1"}, {"reason": ""}])
def test_a_top_up_needs_an_amount_and_a_reason(grant, answers):
    assert grant(**answers).status_code == 200
    assert not rows(QuotaTopUp).exists()


@pytest.mark.parametrize(
    "place", [{"counter": "key:1|tokens"}, {"counter": "tenant|cost"}, {"window": "1-2"}]
)
def test_a_counter_that_no_limit_has_is_not_found(grant, place):
    assert grant(**place).status_code == 404


def test_a_tenant_without_the_quota_cannot_be_granted_more(grant, rival):
    assert grant(tenant=rival).status_code == 404
