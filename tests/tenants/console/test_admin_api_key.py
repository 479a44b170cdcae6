"""The console's pages about API keys: the text of a key is shown once, and nowhere else."""

import logging
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from tenants import services
from tenants.api_keys.keys import parse_key
from tenants.models import ApiKey, Membership
from tests.fixtures.console.people import make_person, rows


def page(name, *args):
    return reverse(f"admin:tenants_apikey_{name}", args=args)


@pytest.fixture
def new(acme):
    return {"tenant": acme.pk, "name": "production", "scopes": ["chat", "models"]}


@pytest.fixture
def key(acme):
    return services.issue_key(tenant=acme, name="production").key


def shown(answer):
    """The key on the page that shows it."""
    text = answer.context["secret"].secret
    assert text in answer.content.decode()
    return text


def test_the_answer_to_the_form_shows_the_key(console, new):
    text = shown(console.post(page("add"), new))
    assert parse_key(text).public_id == rows(ApiKey).get().public_id


def test_the_example_names_the_gateway(console, new, settings):
    answer = console.post(page("add"), new)
    assert f"curl {settings.GATEWAY_URL}/v1/chat/completions" in answer.content.decode()


def test_the_page_is_stored_in_no_cache(console, new):
    assert "no-store" in console.post(page("add"), new)["Cache-Control"]


def test_the_key_is_in_no_cookie_session_or_log(console, new, caplog):
    caplog.set_level(logging.DEBUG)
    answer = console.post(page("add"), new)
    text = shown(answer)
    sessions = [session.get_decoded() for session in Session.objects.all()]
    assert text not in f"{answer.cookies} {console.cookies} {sessions} {caplog.text}"


def test_the_key_is_on_no_later_page(console, new):
    text = shown(console.post(page("add"), new))
    for later in (page("change", rows(ApiKey).get().pk), page("changelist")):
        assert text not in console.get(later).content.decode()


def test_the_digest_is_on_no_page(console, key):
    body = console.get(page("change", key.pk)).content.decode()
    assert bytes(key.digest).hex() not in body
    assert "digest" not in body


def test_what_was_filled_in_is_what_the_key_may_do(console, new):
    limits = {"allowed_models": "smollm2, helper", "allowed_networks": "203.0.113.0/24"}
    console.post(page("add"), {**new, **limits})
    key = rows(ApiKey).get()
    assert key.scopes == ["chat", "models"]
    assert key.allowed_models == ["smollm2", "helper"]
    assert key.allowed_networks == ["203.0.113.0/24"]


def test_a_network_that_is_none_is_an_error_of_the_form(console, new):
    answer = console.post(page("add"), {**new, "allowed_networks": "the office"})
    assert "is not an address or network" in answer.content.decode()
    assert not rows(ApiKey).exists()


def test_another_tenants_member_is_an_error_of_the_form(console, new, rival):
    make_person(rival, "developer")
    answer = console.post(page("add"), {**new, "member": rows(Membership).get().pk})
    assert "Choose a member of Acme" in answer.content.decode()
    assert not rows(ApiKey).exists()


def test_a_changed_key_keeps_its_secret(console, key):
    body = {"name": "renamed", "scopes": ["chat"]}
    console.post(page("change", key.pk), body)
    after = rows(ApiKey).get()
    assert (after.name, bytes(after.digest)) == ("renamed", bytes(key.digest))


def test_a_key_is_blocked_and_unblocked(console, key):
    console.post(page("block", key.pk))
    assert rows(ApiKey).get().blocked_at
    console.post(page("unblock", key.pk))
    assert rows(ApiKey).get().blocked_at is None


def test_looking_at_the_question_blocks_nothing(console, key):
    console.get(page("block", key.pk))
    assert rows(ApiKey).get().blocked_at is None


def test_a_late_form_does_not_unblock(key):
    form = rows(ApiKey).get()
    services.block_key(key=key, now=timezone.now())
    services.save_key(key=form)
    assert rows(ApiKey).get().blocked_at


def test_several_are_blocked_at_once(console, acme, rival):
    keys = [services.issue_key(tenant=tenant, name="k").key for tenant in (acme, rival)]
    body = {"action": "block_selected", "_selected_action": [key.pk for key in keys]}
    assert "Block these API keys?" in console.post(page("changelist"), body).content.decode()
    assert not rows(ApiKey).exclude(blocked_at=None).exists()
    console.post(page("changelist"), {**body, "_confirmed": "yes"})
    assert not rows(ApiKey).filter(blocked_at=None).exists()


def test_rotation_shows_the_new_key_once(console, key):
    text = shown(console.post(page("rotate", key.pk), {"hours": 2}))
    assert parse_key(text).public_id == rows(ApiKey).exclude(pk=key.pk).get().public_id


def test_rotation_lets_the_old_key_end_after_the_overlap(console, key):
    console.post(page("rotate", key.pk), {"hours": 2})
    left = rows(ApiKey).get(pk=key.pk).expires_at - timezone.now()
    assert timedelta(hours=1, minutes=59) < left <= timedelta(hours=2)


def test_an_overlap_below_zero_rotates_nothing(console, key):
    answer = console.post(page("rotate", key.pk), {"hours": -1})
    assert "greater than or equal to 0" in answer.content.decode()
    assert rows(ApiKey).count() == 1


def test_a_key_cannot_be_deleted(console, key):
    assert console.post(page("delete", key.pk), {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("state", ["active", "blocked", "expired"])
def test_the_list_is_filtered_by_what_the_gateway_would_say(console, acme, state):
    now = timezone.now()
    services.issue_key(tenant=acme, name="active")
    services.issue_key(tenant=acme, name="expired", expires_at=now - timedelta(days=1))
    blocked = services.issue_key(tenant=acme, name="blocked").key
    services.block_key(key=blocked, now=now)
    answer = console.get(page("changelist"), {"state": state})
    assert [key.name for key in answer.context["cl"].queryset] == [state]
