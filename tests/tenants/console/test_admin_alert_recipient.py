"""The console's pages about who is told of alerts."""

import html
import re
import subprocess

import pytest
from django.urls import reverse

from kernel.signatures import sign
from tenants.models import AlertRecipient
from tests.fixtures.console.limit_forms import sentences
from tests.fixtures.console.people import rows

WEBHOOK = {"kind": "webhook", "address": "https://93.184.216.34/hook", "enabled": "on"}


def page(name, *args):
    return reverse(f"admin:tenants_alertrecipient_{name}", args=args)


@pytest.fixture
def add(console, acme):
    def send(**facts):
        return console.post(page("add"), {"tenant": acme.pk, **WEBHOOK, **facts})

    return send


def secret_in(answer):
    return re.search(r'id="one-time-secret"[^>]*>([^<]+)<', sentences(answer))[1]


def test_a_webhooks_secret_is_shown_once(add, console):
    answer = add()
    secret = secret_in(answer)
    assert "no-store" in answer["Cache-Control"]
    recipient = rows(AlertRecipient).get()
    assert recipient.secret == secret
    for place in (page("changelist"), page("change", recipient.pk)):
        assert secret not in sentences(console.get(place))


def test_the_command_that_is_shown_computes_the_signature(add):
    answer = add().content.decode()
    secret = rows(AlertRecipient).get().secret
    body, at = b'{"id": 1}', 1_700_000_000
    command = html.unescape(re.search(r"(printf .*?base64)", answer, re.DOTALL)[1])
    done = subprocess.run(
        f"id=evt_1; timestamp={at}; body='{body.decode()}'; {command}",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = sign(body, message_id="evt_1", secret=secret, at=at)
    assert expected == f"v1,{done.stdout.strip()}"


def test_e_mail_has_no_secret(add, console):
    assert add(kind="email", address="ops@acme.example")["Location"] == page("changelist")
    recipient = rows(AlertRecipient).get()
    answer = console.post(page("renew", recipient.pk))
    assert "E-mail has no secret" in sentences(answer)


def test_a_new_secret_asks_first_and_replaces_the_old_one(add, console):
    old = secret_in(add())
    recipient = rows(AlertRecipient).get()
    assert "Create a new secret?" in sentences(console.get(page("renew", recipient.pk)))
    new = secret_in(console.post(page("renew", recipient.pk)))
    recipient.refresh_from_db()
    assert recipient.secret == new != old


def test_a_webhook_that_moves_gets_a_new_secret(add, console):
    old = secret_in(add())
    recipient = rows(AlertRecipient).get()
    moved = {**WEBHOOK, "address": "https://93.184.216.35/hook"}
    assert secret_in(console.post(page("change", recipient.pk), moved)) != old


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"address": "https://127.0.0.1/hook"}, "public"),
        ({"address": "nonsense"}, "Enter a valid URL"),
        ({"kind": "email", "address": "nonsense"}, "Enter a valid email address"),
    ],
)
def test_an_address_that_may_not_be_is_refused_in_the_form(add, facts, says):
    assert says in sentences(add(**facts))
    assert not rows(AlertRecipient).exists()


def test_a_recipient_is_deleted(add, console):
    add()
    console.post(page("delete", rows(AlertRecipient).get().pk), {"post": "yes"})
    assert not rows(AlertRecipient).exists()
