"""Remote agents in the console and the management API: their credentials are never shown."""

import json

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.urls import reverse

from agents.models import RemoteAgent
from tests.agents.schedules.test_schedules_api import signed_in
from tests.fixtures.console.people import acme, console, operator, rival, rows

__all__ = ["acme", "console", "operator", "rival"]

API = "/api/v1/remote-agents"
SECRET = "sesame-open-now"
HEADER = {"credential_header": "authorization", "credential_prefix": "Bearer "}
pytestmark = pytest.mark.slow


def post(client, body, path=""):
    return client.post(API + path, body, content_type="application/json")


def page(name, *args):
    return reverse(f"admin:agents_remoteagent_{name}", args=args)


def form(tenant, partner, **changes):
    fields = {"tenant": tenant.pk, "name": "partner", "card_url": partner.card_url}
    return {**fields, "enabled": "on", **HEADER, **changes}


def test_a_remote_agent_is_registered_changed_and_deleted_by_its_tenant(acme, rival, partner):
    developer, other = signed_in(acme), signed_in(rival)
    body = {"name": "partner", "card_url": partner.card_url, "credential": SECRET}

    made = post(developer, body)
    path = f"/{made.json()['id']}"
    changed = developer.patch(API + path, {"enabled": False}, content_type="application/json")
    partner.card.version = "4"
    fetched = post(developer, {}, f"{path}/refresh")

    assert made.status_code == 201
    assert made.json()["capabilities"] == ["echo"]
    assert (made.json()["has_credential"], made.json()["interface_url"]) == (True, partner.url)
    assert SECRET not in (made.content + changed.content + fetched.content).decode()
    assert (changed.json()["enabled"], fetched.json()["card"]["version"]) == (False, "4")
    assert rows(RemoteAgent).get().credential == SECRET
    assert other.get(API).json()["results"] == []
    for answer in (
        other.get(API + path),
        other.delete(API + path),
        post(other, {}, f"{path}/refresh"),
    ):
        assert answer.status_code == 404
    assert developer.delete(API + path).status_code == 204
    assert SECRET not in json.dumps([str(entry.changes) for entry in LogEntry.objects.all()])


def test_a_card_that_lies_is_refused_with_its_code(acme, partner):
    partner.claim(("http://169.254.169.254/", "JSONRPC"))

    answer = post(signed_in(acme), {"name": "partner", "card_url": partner.card_url})

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_agent_card"
    assert rows(RemoteAgent).count() == 0


def test_a_viewer_registers_nothing(acme, partner):
    answer = post(signed_in(acme, "viewer"), {"name": "partner", "card_url": partner.card_url})

    assert answer.status_code == 403
    assert partner.seen == []


def test_the_page_registers_an_agent_and_shows_no_credential(console, acme, partner):
    answer = console.post(page("add"), form(acme, partner, new_credential=SECRET), follow=True)

    agent = rows(RemoteAgent).get()
    shown = console.get(page("change", agent.pk)).content.decode()
    listed = console.get(page("changelist")).content.decode()
    assert agent.credential == SECRET
    assert "Partner" in listed
    assert "echo" in shown
    assert "set (encrypted)" in shown
    assert SECRET not in answer.content.decode() + shown + listed


def test_the_page_says_why_a_card_is_refused_and_keeps_a_credential(console, acme, partner):
    partner.claim(("http://169.254.169.254/", "JSONRPC"))
    refused = console.post(page("add"), form(acme, partner))
    assert "TENANTRY_A2A_ORIGINS" in refused.content.decode()
    assert rows(RemoteAgent).count() == 0

    partner.claim()
    console.post(page("add"), form(acme, partner, new_credential=SECRET))
    agent = rows(RemoteAgent).get()
    console.post(page("change", agent.pk), form(acme, partner, card_url=partner.card_url + "?a"))
    assert rows(RemoteAgent).get().credential == SECRET

    console.post(page("change", agent.pk), form(acme, partner, forget_credential="on"))
    assert rows(RemoteAgent).get().credential == ""


def test_the_card_is_fetched_again_from_the_page(console, acme, partner):
    console.post(page("add"), form(acme, partner))
    agent = rows(RemoteAgent).get()
    partner.card.version = "5"

    asked = console.get(reverse("admin:agents_remoteagent_refresh", args=(agent.pk,)))
    console.post(reverse("admin:agents_remoteagent_refresh", args=(agent.pk,)))

    assert "Fetch the agent card again?" in asked.content.decode()
    assert rows(RemoteAgent).get().card["version"] == "5"


@pytest.mark.usefixtures("acme")
def test_nobody_sees_the_page_without_signing_in():
    assert Client().get(page("changelist")).status_code == 302
