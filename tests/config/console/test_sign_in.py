"""Guessing passwords is braked by name and address, and an operator can be let in again."""

from datetime import timedelta

import pytest
import time_machine
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from config.console.login_lockout import visitors_address
from tests.fixtures.console.people import PASSWORD, make_person

LIMIT = 5


def sign_in(client, password=PASSWORD, *, name="olga", address="203.0.113.7", **headers):
    body = {"username": name, "password": password}
    return client.post(reverse("admin:login"), body, REMOTE_ADDR=address, **headers)


def guess(client, times=LIMIT, **how):
    return [sign_in(client, f"wrong {n}", **how).status_code for n in range(times)]


@pytest.mark.usefixtures("operator")
def test_the_fifth_wrong_password_locks_out_even_who_knows_the_right_one(client):
    assert guess(client) == [200, 200, 200, 200, 429]

    answer = sign_in(client)

    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert "for 15 minutes" in answer.content.decode()
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("operator")
def test_a_stranger_elsewhere_locks_nobody_else_out(client):
    guess(client, address="198.51.100.1")
    assert sign_in(client).status_code == 302


@pytest.mark.usefixtures("operator")
def test_a_name_that_is_not_there_is_locked_the_same(client):
    assert guess(client, name="nobody")[-1] == 429
    assert sign_in(client).status_code == 302


@pytest.mark.usefixtures("operator")
def test_it_ends_by_itself_though_somebody_goes_on_trying(client):
    start = timezone.now()
    with time_machine.travel(start, tick=False):
        guess(client)
    with time_machine.travel(start + timedelta(minutes=10), tick=False):
        assert set(guess(client, 3)) == {429}
    with time_machine.travel(start + timedelta(minutes=15, seconds=1), tick=False):
        assert sign_in(client).status_code == 302


@pytest.mark.usefixtures("operator")
def test_a_success_forgets_the_mistakes_before(client):
    guess(client, 4)
    sign_in(client)
    client.logout()
    assert set(guess(client, 4)) == {200}


def test_an_operator_unlocks_another_on_the_list_of_users(console, client, django_user_model):
    user = django_user_model.objects.create_superuser("uma", password=PASSWORD)
    guess(client, name="uma")

    body = {"action": "unlock", "_selected_action": [user.pk]}
    answer = console.post(reverse("admin:tenants_user_changelist"), body, follow=True)

    assert "Unlocked: uma." in answer.content.decode()
    assert sign_in(client, name="uma").status_code == 302
    assert LogEntry.objects.get(action=LogEntry.Action.ACCESS).object_repr == "uma"


@pytest.mark.usefixtures("operator")
def test_who_runs_the_server_unlocks_from_there(client, capsys):
    guess(client)
    call_command("unlock", "olga")
    call_command("unlock", "olga")

    assert capsys.readouterr().out == "olga may try again.\nolga was not locked out.\n"
    assert sign_in(client).status_code == 302
    with pytest.raises(CommandError, match="no user"):
        call_command("unlock", "nobody")


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        ("127.0.0.1", "203.0.113.7", "", "203.0.113.7"),
        ("127.0.0.1", "203.0.113.7", "1.1.1.1", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.0/8", "10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.9", "10.0.0.9"),
        ("10.0.0.1,10.0.0.9", "10.0.0.1", "1.1.1.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.1", "203.0.113.7, 10.0.0.9", "10.0.0.9"),
        ("10.0.0.0/8", "10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", "unknown", "10.0.0.1"),
        ("127.0.0.1", "", "203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "", "", None),
        ("10.0.0.1", "10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("10.0.0.1", "10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
    ],
)
def test_only_what_trusted_proxies_say_counts(settings, proxies, peer, forwarded, address):
    settings.TRUSTED_PROXIES = proxies.split(",")
    told = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=peer, **told)
    assert visitors_address(request) == address


def test_a_person_of_a_tenant_reads_where_to_go_instead(client, acme):
    person = make_person(acme, "admin")
    text = sign_in(client, name=person.username).content.decode()
    assert "the console is for operators" in text
    assert "/api/docs/" in text


def test_a_wrong_password_of_such_a_person_tells_nothing(client, acme):
    person = make_person(acme, "admin")
    text = sign_in(client, "wrong", name=person.username).content.decode()
    assert "the console is for operators" not in text
