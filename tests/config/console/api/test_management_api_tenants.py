"""The management API about tenants, members, keys and tokens, as scripts use it."""

from base64 import b64encode
from datetime import timedelta

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken

from tenants import services
from tenants.api_keys.keys import parse_key
from tenants.models import ApiKey, Membership, Tenant
from tests.fixtures.console.people import PASSWORD, make_event, make_person, rows

API = "/api/v1/"


class Script(Client):
    """A script that authenticates with a token. CSRF is checked as in production."""

    def __init__(self, user):
        _, token = AuthToken.objects.create(user=user)
        super().__init__(enforce_csrf_checks=True, headers={"authorization": f"Bearer {token}"})

    def send(self, method, place, body=None):
        return getattr(self, method)(API + place, body or {}, content_type="application/json")


@pytest.fixture
def script(operator):
    return Script(operator)


@pytest.fixture
def developer(acme):
    return Script(make_person(acme, "developer"))


@pytest.fixture
def key(acme):
    return services.issue_key(tenant=acme, name="production").key


def test_a_tenant_is_made_and_changed(script):
    made = script.send("post", "tenants", {"slug": "third", "name": "Third"})
    assert (made.status_code, made.json()["status"]) == (201, "active")
    changed = script.send("patch", "tenants/third", {"time_zone": "Europe/Berlin"})
    assert (changed.json()["time_zone"], changed.json()["name"]) == ("Europe/Berlin", "Third")


def test_a_taken_slug_is_a_conflict(script, acme):
    answer = script.send("post", "tenants", {"slug": "acme", "name": "Acme"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "slug_taken")


def test_a_tenant_is_suspended_and_resumed(script, acme):
    assert script.send("post", "tenants/acme/suspend").json()["status"] == "suspended"
    assert script.send("post", "tenants/acme/resume").json()["status"] == "active"


def test_members_see_their_own_tenants_only(developer, rival):
    answer = developer.get(API + "tenants").json()
    assert [tenant["slug"] for tenant in answer["results"]] == ["acme"]


def test_a_new_keys_secret_is_in_the_answer_and_nowhere_else(developer):
    made = developer.send("post", "api-keys", {"name": "ci"})
    secret = made.json()["secret"]
    assert parse_key(secret).public_id == rows(ApiKey).get().public_id
    assert made["Cache-Control"] == "no-store"
    later = developer.get(f"{API}api-keys/{made.json()['id']}")
    assert secret not in later.content.decode()


def test_no_secret_is_ever_serialised(developer, key):
    shown = developer.get(f"{API}api-keys/{key.pk}").json()
    assert not {"digest", "pepper", "secret", "public_id"} & set(shown)


def test_a_rotated_key_works_until_the_overlap_is_over(developer, key):
    answer = developer.send("post", f"api-keys/{key.pk}/rotate", {"overlap_seconds": 60})
    assert answer.json()["replaces"] == key.pk
    left = rows(ApiKey).get(pk=key.pk).expires_at - timezone.now()
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


def test_a_key_is_blocked_and_unblocked(developer, key):
    assert developer.send("post", f"api-keys/{key.pk}/block").json()["status"] == "blocked"
    assert developer.send("post", f"api-keys/{key.pk}/unblock").json()["status"] == "active"


def test_a_key_may_not_be_for_another_tenants_member(developer, rival):
    make_person(rival, "developer")
    stranger = rows(Membership).get(tenant=rival)
    answer = developer.send("post", "api-keys", {"name": "ci", "member": stranger.pk})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "member")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x", "scopes": ["everything"]}, "scopes.0"),
        ({"name": "x", "allowed_networks": ["the office"]}, "allowed_networks.0"),
        ({"name": "x", "expires_at": "tomorrow"}, "expires_at"),
        ({"name": "nul\x00"}, "name"),
    ],
)
def test_a_wrong_field_is_named(developer, body, param):
    answer = developer.send("post", "api-keys", body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_parameter", param)


def test_an_operator_says_for_which_tenant(script, acme, rival):
    answer = script.send("post", "api-keys", {"name": "ci"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tenant")
    script.send("post", "api-keys?tenant=rival", {"name": "ci"})
    assert rows(ApiKey).get().tenant == rival


def test_an_operator_sees_all_tenants_or_one(script, acme, rival):
    for tenant in (acme, rival):
        services.issue_key(tenant=tenant, name="k")
    assert len(script.get(API + "api-keys").json()["results"]) == 2
    assert len(script.get(API + "api-keys?tenant=acme").json()["results"]) == 1


@pytest.mark.parametrize("slug", ["nobody", "%00", "a b", ""])
def test_a_tenant_that_does_not_exist_is_not_found(script, slug):
    answer = script.get(f"{API}api-keys?tenant={slug}")
    assert answer.status_code == (404 if slug else 200)


def test_another_tenant_is_as_if_it_did_not_exist(developer, rival):
    foreign = developer.get(API + "api-keys?tenant=rival")
    missing = developer.get(API + "api-keys?tenant=nobody")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() == missing.json()


def test_somebody_without_a_role_is_refused(db, django_user_model):
    script = Script(django_user_model.objects.create_user("nobody"))
    assert script.get(API + "api-keys").status_code == 403


def test_a_member_is_added_changed_and_removed(script, acme, rival):
    anna = make_person(rival, "viewer")
    body = {"user": anna.username, "role": "developer"}
    made = script.send("post", "members?tenant=acme", body).json()
    assert (made["tenant"], made["role"]) == ("acme", "developer")
    place = f"members/{made['id']}"
    assert script.send("patch", place, {"role": "admin"}).json()["role"] == "admin"
    assert script.send("delete", place).status_code == 204
    assert rows(Membership).get().tenant == rival


def test_usage_is_narrowed(developer, acme, rival):
    make_event(acme, 1)
    make_event(acme, 2, status="failed")
    make_event(rival, 3)
    ids = [
        event["request_id"]
        for event in developer.get(API + "usage", {"status": "failed"}).json()["results"]
    ]
    assert ids == ["req_acme_2"]


@pytest.mark.parametrize("asked", ["since=yesterday", "api_key=x", "status=odd", "route=%00"])
def test_usage_that_cannot_be_narrowed_so_says_why(developer, asked):
    answer = developer.get(f"{API}usage?{asked}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, asked.split("=")[0])


def test_pages_follow_a_cursor(developer, acme):
    for number in range(5):
        make_event(acme, number)
    first = developer.get(API + "usage?page_size=2").json()
    second = developer.get(first["next"]).json()
    seen = {event["id"] for page in (first, second) for event in page["results"]}
    assert len(seen) == 4


def test_a_broken_cursor_is_refused_by_name(developer):
    answer = developer.get(API + "usage?cursor=nonsense")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "cursor")


def test_a_token_is_issued_for_a_password(operator):
    basic = b64encode(f"olga:{PASSWORD}".encode()).decode()
    answer = Client(headers={"authorization": f"Basic {basic}"}).post(API + "tokens")
    token = answer.json()["token"]
    assert token.startswith("tno_")
    script = Client(headers={"authorization": f"Bearer {token}"})
    assert script.get(API + "tenants").status_code == 200


def test_a_token_makes_no_other_token(script):
    assert script.send("post", "tokens").status_code == 401


def test_a_revoked_token_opens_nothing(script):
    (mine,) = script.get(API + "tokens").json()["results"]
    assert set(mine) == {"id", "created_at", "expires_at"}
    assert script.send("delete", f"tokens/{mine['id']}").status_code == 204
    assert script.get(API + "tokens").status_code == 401


def test_nobody_revokes_anothers_token(script, developer):
    (theirs,) = developer.get(API + "tokens").json()["results"]
    assert script.send("delete", f"tokens/{theirs['id']}").status_code == 404


@pytest.mark.parametrize("text", ["", "tno_nonsense", "tno_\u00e9", "a b"])
def test_junk_is_no_token(db, text):
    answer = Client(headers={"authorization": f"Bearer {text}"}).get(API + "tenants")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthenticated"


def test_a_session_needs_a_csrf_token(operator):
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator)
    answer = client.post(API + "tenants", {"slug": "x", "name": "X"}, "application/json")
    assert answer.status_code == 403
    assert not Tenant.objects.exists()


def test_the_audit_log_says_whose_token_it_was(script, operator):
    script.send("post", "tenants", {"slug": "third", "name": "Third"})
    assert LogEntry.objects.get_for_model(Tenant).get().actor == operator


def test_the_audit_log_can_be_read_without_secrets(script, acme):
    services.issue_key(tenant=acme, name="production")
    body = script.get(API + "audit").content.decode()
    assert '"kind":"apikey"' in body
    assert "digest" not in body


def test_an_unknown_address_answers_in_our_shape(script):
    answer = script.get(API + "nothing")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_a_wrong_method_says_which_are_right(script):
    answer = script.send("delete", "usage")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "GET" in answer["Allow"]


def test_a_broken_body_answers_in_our_shape(script):
    answer = script.post(API + "tenants", "{", content_type="application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


def test_another_encoding_answers_in_our_shape(script):
    answer = script.post(API + "tenants", "a=b", content_type="text/csv")
    assert answer.status_code == 415
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("number", ["0", "99999999999999999999999"])
def test_an_impossible_number_is_not_found(script, number):
    assert script.get(f"{API}api-keys/{number}").status_code == 404
