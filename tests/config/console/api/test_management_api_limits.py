"""The management API about plans, limits, top-ups and alert recipients."""

import pytest
from django.test import Client
from django.utils import timezone

from tenants import services
from tenants.limits import services as limit_services
from tenants.models import AlertRecipient, Plan, PlanQuota, PlanRateLimit, Quota, QuotaTopUp
from tests.fixtures.console.people import make_person, rows
from tests.fixtures.limits.limits import make_plan, own_quota, plan_quota

API = "/api/v1/"
STARTER = {
    "name": "Starter",
    "rate_limits": [{"requests_per_minute": 600, "concurrency": 20}],
    "quotas": [{"limit": 2_000_000}, {"limit": 50, "unit": "requests", "period": "day"}],
}


@pytest.fixture
def send(console):
    def send(method, place, body=None):
        return getattr(console, method)(API + place, body or {}, content_type="application/json")

    return send


@pytest.fixture
def member(acme):
    client = Client()
    client.force_login(make_person(acme, "admin"))
    return client


@pytest.fixture
def starter(acme):
    now = timezone.now()
    plan = make_plan()
    plan_quota(plan, limit=2_000_000, period="month", now=now)
    limit_services.set_plan(tenant=acme, plan=plan, now=now)
    return plan


def refusal(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def test_a_plan_is_made_with_its_rules(send):
    made = send("post", "plans", STARTER).json()
    assert made["rate_limits"][0]["concurrency"] == 20
    assert [quota["period"] for quota in made["quotas"]] == ["day", "month"]
    assert made["tenants"] == []


def test_told_rules_replace_those_of_their_kind(send):
    place = f"plans/{send('post', 'plans', STARTER).json()['id']}"
    kept = PlanQuota.objects.get(period="month").pk
    send("patch", place, {"quotas": [{"limit": 7, "hard": False}, {"limit": 9, "per": "key"}]})
    changed = PlanQuota.objects.get(per="tenant")
    assert (changed.pk, changed.limit, changed.hard) == (kept, 7, False)
    assert PlanQuota.objects.get(per="key").limit == 9
    assert PlanRateLimit.objects.count() == 1


def test_a_rule_that_is_told_anew_forgets_what_is_not_told(send):
    place = f"plans/{send('post', 'plans', STARTER).json()['id']}"
    send("patch", place, {"rate_limits": [{"requests_per_minute": 5}]})
    assert PlanRateLimit.objects.get().concurrency is None


@pytest.mark.parametrize(
    ("quota", "param"),
    [
        ({}, "quotas.0.limit"),
        ({"limit": 0}, "quotas.0.limit"),
        ({"limit": -1}, "quotas.0.limit"),
        ({"limit": 1, "unit": "words"}, "quotas.0.unit"),
        ({"limit": 1, "time_zone": "Mars/Olympus"}, "quotas.0.time_zone"),
        ({"limit": 1, "period": "days"}, "anchor"),
        ({"limit": 1, "route": "gone"}, "route"),
        ({"limit": 1, "alert_at": [0]}, "quotas.0.alert_at.0"),
    ],
)
def test_a_rule_that_makes_no_sense_names_the_field(send, quota, param):
    answer = send("post", "plans", {"name": "x", "quotas": [quota]})
    assert refusal(answer) == (400, "invalid_parameter", param)
    assert not Plan.objects.exists()


def test_the_same_rule_twice_is_a_conflict(send):
    answer = send("post", "plans", {"name": "x", "quotas": [{"limit": 1}, {"limit": 2}]})
    assert refusal(answer)[:2] == (409, "limit_exists")
    assert not Plan.objects.exists()


def test_a_plan_in_use_is_a_conflict_that_names_tenants(send, starter):
    answer = send("delete", f"plans/{starter.pk}")
    assert refusal(answer)[:2] == (409, "plan_in_use")
    assert "acme is on this plan" in answer.json()["error"]["message"]


def test_a_tenant_is_put_on_a_plan_and_taken_off(send, acme):
    make_plan()
    assert send("patch", "tenants/acme", {"plan": "Starter"}).json()["plan"] == "Starter"
    assert send("patch", "tenants/acme", {"plan": None}).json()["plan"] is None
    assert refusal(send("patch", "tenants/acme", {"plan": "Gold"}))[2] == "plan"


def test_an_operator_caps_one_tenant(send, acme, rival):
    made = send("post", "quotas?tenant=acme", {"limit": 5, "period": "day"})
    assert (made.status_code, made.json()["tenant"]) == (201, "acme")
    place = f"quotas/{made.json()['id']}"
    assert send("patch", place, {"limit": 6}).json()["limit"] == 6
    assert rows(Quota).get().period == "day"
    assert send("delete", place).status_code == 204


def test_the_same_quota_again_is_a_conflict(send, acme):
    send("post", "quotas?tenant=acme", {"limit": 5})
    assert refusal(send("post", "quotas?tenant=acme", {"limit": 6}))[:2] == (409, "limit_exists")


def test_a_quota_is_for_keys_of_its_tenant_only(send, acme, rival):
    key = services.issue_key(tenant=rival, name="k").key
    body = {"limit": 5, "per": "key", "api_key": key.pk}
    assert refusal(send("post", "quotas?tenant=acme", body))[2] == "api_key"


def test_people_of_a_tenant_see_its_limits_and_no_others(member, acme, rival):
    mine, other = own_quota(acme), own_quota(rival)
    listed = member.get(API + "quotas").json()["results"]
    assert [quota["id"] for quota in listed] == [mine.pk]
    assert member.get(f"{API}quotas/{other.pk}").status_code == 404
    assert member.get(f"{API}tenants/rival/limits").status_code == 404


def test_people_of_a_tenant_do_not_raise_its_limits(member, acme):
    quota = own_quota(acme)
    answer = member.patch(f"{API}quotas/{quota.pk}", {"limit": 10**9}, "application/json")
    assert answer.status_code == 403
    assert rows(Quota).get().limit == 1000


def test_what_is_in_force_is_told_with_its_numbers(member, starter):
    shown = member.get(API + "tenants/acme/limits").json()
    (quota,) = shown["quotas"]
    assert (quota["origin"], quota["limit"], quota["overridden_by"]) == (
        "plan Starter",
        2_000_000,
        "",
    )
    (counter,) = quota["counters"]
    assert (counter["counter"], counter["remaining"]) == ("tenant|tokens", 2_000_000)
    assert shown["is_live"] is True


@pytest.fixture
def top_up(member, starter):
    (quota,) = member.get(API + "tenants/acme/limits").json()["quotas"]
    place = {"counter": quota["counters"][0]["counter"], "window": quota["window"]["id"]}
    return {**place, "amount": 500, "reason": "Launch day", "key": "ticket-7"}


def test_a_top_up_is_granted_once(send, member, top_up):
    first = send("post", "top-ups?tenant=acme", top_up)
    again = send("post", "top-ups?tenant=acme", top_up)
    assert first.json()["id"] == again.json()["id"]
    assert first.json()["granted_by"] == "olga"
    (quota,) = member.get(API + "tenants/acme/limits").json()["quotas"]
    assert quota["counters"][0]["granted"] == 500


@pytest.mark.parametrize("wrong", [{"counter": "tenant|cost"}, {"window": "1-2"}])
def test_a_top_up_of_nothing_is_not_found(send, top_up, wrong):
    answer = send("post", "top-ups?tenant=acme", {**top_up, **wrong})
    assert answer.status_code == 404
    assert not rows(QuotaTopUp).exists()


def test_another_tenants_counter_is_not_found(send, top_up, rival):
    assert send("post", "top-ups?tenant=rival", top_up).status_code == 404


def test_a_webhooks_secret_is_shown_once(send, acme):
    body = {"kind": "webhook", "address": "https://93.184.216.34/hook"}
    made = send("post", "alert-recipients?tenant=acme", body)
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    assert made["Cache-Control"] == "no-store"
    place = f"alert-recipients/{made.json()['id']}"
    assert secret not in send("get", place).content.decode()
    renewed = send("post", f"{place}/new-secret").json()["secret"]
    assert renewed not in {secret, ""}


def test_an_address_that_fits_no_kind_is_refused(send, acme):
    body = {"kind": "email", "address": "not an address"}
    answer = send("post", "alert-recipients?tenant=acme", body)
    assert refusal(answer) == (400, "invalid_parameter", "address")
    assert not rows(AlertRecipient).exists()


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        (
            "rate-limits?tenant=acme",
            {"requests_per_minute": 5, "door": "embeddings"},
            {"request_kind": "embeddings"},
        ),
        (
            "quotas?tenant=acme",
            {"limit": 5, "door": "chat", "when_redis_is_away": "closed"},
            {"request_kind": "chat", "on_redis_outage": "closed"},
        ),
        ("plans", {"name": "Pro", "longest_answer": 9}, {"default_max_completion_tokens": 9}),
    ],
)
@pytest.mark.usefixtures("acme")
def test_old_names_of_limits_are_accepted_and_deprecated(send, place, old, new):
    answer = send("post", place, old)

    assert answer.status_code == 201
    assert {name: answer.json()[name] for name in new} == new
    assert answer["Warning"].count("is deprecated") == len(new)


def test_old_names_are_accepted_in_the_rules_of_a_plan(send):
    rules = {
        "rate_limits": [{"requests_per_minute": 5, "door": "chat"}],
        "quotas": [{"limit": 5, "when_redis_is_away": "closed"}],
    }

    answer = send("post", "plans", {"name": "Pro", **rules})

    assert answer.json()["rate_limits"][0]["request_kind"] == "chat"
    assert answer.json()["quotas"][0]["on_redis_outage"] == "closed"
    assert '"door is deprecated: use request_kind"' in answer["Warning"]
