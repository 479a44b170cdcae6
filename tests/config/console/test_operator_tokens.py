"""Tokens of the management API end with their owner's password, and passwords are not guessed."""

from base64 import b64encode

import pytest
from auditlog.models import LogEntry
from axes.models import AccessAttempt
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from knox.models import AuthToken

from tests.config.console.api.test_management_api_tenants import API, Script
from tests.fixtures.console.people import PASSWORD, make_person

NEW = "another horse battery staple"


@pytest.fixture
def script(operator):
    return Script(operator)


def works(script):
    return script.get(API + "tenants").status_code == 200


def basic(name, password, **how):
    pair = f"{name}:{password}".encode()
    headers = {"authorization": f"Basic {b64encode(pair).decode()}"}
    return Client(headers=headers).post(API + "tokens", **how)


def test_a_new_password_ends_all_tokens_and_the_log_says_so(script, operator):
    assert works(script)
    operator.set_password(NEW)
    operator.save()

    assert not works(script)
    entry = LogEntry.objects.get(action=LogEntry.Action.ACCESS)
    assert entry.changes == {"API tokens": ["", "revoked: 1"]}
    token = basic("olga", NEW).json()["token"]
    assert works(Client(headers={"authorization": f"Bearer {token}"}))


def test_the_form_and_the_command_end_them_as_well(console, acme, capsys, monkeypatch):
    anna = make_person(acme, "admin")
    first = Script(anna)
    page = reverse("admin:auth_user_password_change", args=[anna.pk])
    body = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert console.post(page, body).status_code == 302
    assert not works(first)

    second = Script(anna)
    monkeypatch.setattr("getpass.getpass", lambda *_args, **_more: PASSWORD)
    call_command("changepassword", anna.username)
    assert not works(second)


def test_a_password_that_is_taken_away_ends_them(acme):
    anna = make_person(acme, "admin")
    script = Script(anna)
    anna.set_unusable_password()
    anna.save()
    assert not works(script)


def test_a_new_hash_of_the_same_password_and_other_changes_end_nothing(acme):
    anna = make_person(acme, "admin")
    script = Script(anna)
    anna.email = "anna@acme.example"
    anna.save()
    weak = MD5PasswordHasher().encode(PASSWORD, "x")
    type(anna).objects.filter(pk=anna.pk).update(password=weak)
    anna.refresh_from_db()

    assert anna.check_password(PASSWORD)

    assert anna.password != weak
    assert works(script)


def test_others_keep_their_tokens(script, acme):
    anna = make_person(acme, "admin")
    anna.set_password(NEW)
    anna.save()
    assert works(script)


def test_an_operator_lists_and_revokes_anybodys_tokens(script, acme):
    anna = make_person(acme, "admin")
    theirs = Script(anna)
    place = f"{API}tokens?user={anna.username}"
    (listed,) = script.get(place).json()["results"]
    assert set(listed) == {"id", "created_at", "expires_at"}

    revoked = script.delete(f"{API}tokens/{listed['id']}?user={anna.username}")

    assert revoked.status_code == 204
    assert not works(theirs)
    assert works(script)
    assert script.get(f"{API}tokens?user=nobody").json()["results"] == []


def test_others_see_their_own_tokens_only(script, acme, operator):
    anna = make_person(acme, "admin")
    theirs = Script(anna)
    assert len(theirs.get(f"{API}tokens?user={anna.username}").json()["results"]) == 1
    for name in ("olga", "nobody"):
        assert theirs.get(f"{API}tokens?user={name}").status_code == 403
    token = AuthToken.objects.get(user=operator)
    assert theirs.delete(f"{API}tokens/{token.token_key}").status_code == 404
    assert works(script)


def test_an_operator_revokes_all_tokens_of_people_on_their_list(console, acme):
    anna = make_person(acme, "admin")
    scripts = [Script(anna), Script(anna)]
    body = {"action": "revoke_tokens", "_selected_action": [anna.pk]}
    answer = console.post(reverse("admin:tenants_user_changelist"), body, follow=True)
    assert "Revoked API tokens: 2." in answer.content.decode()
    assert not any(map(works, scripts))


@pytest.mark.usefixtures("operator")
def test_wrong_passwords_lock_out_with_the_documented_answer():
    answers = [basic("olga", f"wrong {number}") for number in range(5)]
    assert [answer.status_code for answer in answers] == [401, 401, 401, 401, 429]
    locked = basic("olga", PASSWORD)
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "locked_out")
    assert locked["Retry-After"] == "900"
    assert basic("olga", PASSWORD, REMOTE_ADDR="198.51.100.1").status_code == 201


STRANGE = ("n" * 151, "n" * 256, "n" * 5000, "nul\x00", "ü" * 300, "")


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("name", STRANGE)
def test_strange_names_are_refused_and_counted_on_every_way_in(name):
    assert basic(name, "wrong").status_code == 401
    page = Client().post(reverse("admin:login"), {"username": name, "password": "wrong"})
    assert page.status_code == 200
    header = {"authorization": f"Bearer {name}".encode("latin-1", "replace").decode("latin-1")}
    if "\x00" not in name:
        assert Client(headers=header).get(API + "tokens").status_code == 401
    if name:
        (counted,) = AccessAttempt.objects.values_list("failures_since_start", flat=True)[:1]
        assert counted >= 1


@pytest.mark.usefixtures("operator")
def test_a_long_name_is_locked_out_as_any_other():
    answers = [basic("n" * 400, "wrong").status_code for _ in range(6)]
    assert answers == [401, 401, 401, 401, 429, 429]
    assert basic("n" * 399 + "m", "wrong").status_code == 401
    assert basic("n" * 150, "wrong").status_code == 401


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize("query", ["next=%00", "%00=x", "next=/admin/%00"])
def test_a_login_with_a_null_in_its_address_is_answered(query):
    body = {"username": "olga", "password": "wrong"}
    answer = Client().post(reverse("admin:login") + f"?{query}", body)
    assert answer.status_code in {200, 400}
