"""Agents of others: registered by their card, of which no address is trusted."""

import pytest
from django.core.exceptions import ValidationError

from agents.a2a.remote_agents import (
    delete_remote_agent,
    refresh_remote_agent,
    save_remote_agent,
)
from agents.errors import InvalidAgentCard, RemoteAgentNameTaken
from agents.models import RemoteAgent, Tool
from agents.runtime.tools.a2a.agent_card import WrongCard, choose_interface, read_card
from agents.tool_library.store import load_tools_by_name, save_tool
from kernel.egress.client import EgressFailed
from kernel.egress.rules import TargetRefused
from tenants.scoping import tenant_scope
from tests.fixtures.runs.tools import make_tool

SECRET = "s3cr3t-credential"
pytestmark = pytest.mark.slow


def register(member, partner, **facts):
    agent = RemoteAgent(
        tenant=member.tenant, **{"name": "partner", "card_url": partner.card_url, **facts}
    )
    save_remote_agent(agent=agent)
    return agent


def stored(member):
    with tenant_scope(member.tenant.pk):
        return RemoteAgent.objects.defer("credential").get()


def count(member):
    with tenant_scope(member.tenant.pk):
        return RemoteAgent.objects.count()


def test_a_card_is_fetched_and_its_skills_are_capabilities(acme, partner):
    agent = register(acme, partner, credential=SECRET)

    row = stored(acme)
    assert (row.card["name"], row.card["version"]) == ("Partner", "3")
    assert row.capabilities == ["echo"]
    assert (row.interface_url, row.binding) == (partner.url, "JSONRPC")
    assert row.fetched_at is not None
    assert agent.pk == row.pk
    assert not any(SECRET in str(headers) for headers in partner.seen), "the card is public"


def test_the_other_binding_is_used_if_it_is_the_only_one(acme, partner):
    partner.claim((f"{partner.url}/", "HTTP+JSON"))

    assert register(acme, partner).binding == "HTTP+JSON"


@pytest.mark.parametrize(
    "claimed",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:6379/",
        "https://other.example.org/a2a",
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
    ],
)
def test_a_card_that_lies_about_its_address_is_refused(acme, partner, claimed):
    partner.claim((claimed, "JSONRPC"))

    with pytest.raises(InvalidAgentCard):
        register(acme, partner)

    assert count(acme) == 0


def test_an_interface_elsewhere_must_be_allowed_and_follow_the_egress_rules(
    acme, partner, settings
):
    settings.A2A_ORIGINS = ["https://other.example.org", "http://10.0.0.7", "*"]
    settings.EGRESS_PORTS = [*settings.EGRESS_PORTS, 80, 443]

    partner.claim(("https://other.example.org/a2a", "JSONRPC"))
    assert register(acme, partner).interface_url == "https://other.example.org/a2a"

    partner.claim(("http://10.0.0.7/a2a", "JSONRPC"))
    with pytest.raises(InvalidAgentCard, match="not public"):
        refresh_remote_agent(agent=stored(acme))


def test_a_card_at_an_address_that_is_not_public_is_not_fetched(acme, partner, settings):
    settings.EGRESS_ALLOW = []

    with pytest.raises(TargetRefused):
        register(acme, partner)

    assert partner.seen == []


def test_what_is_no_card_is_refused(acme, partner, settings):
    settings.EGRESS_PORTS = [*settings.EGRESS_PORTS, 9]
    with pytest.raises(InvalidAgentCard, match="404"):
        register(acme, partner, card_url=partner.url + "/nothing")
    partner.claim((partner.url, "GRPC"))
    with pytest.raises(InvalidAgentCard, match="no interface"):
        register(acme, partner)
    with pytest.raises(EgressFailed):
        register(acme, partner, card_url="http://127.0.0.1:9/")


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"name": 7}', b'{"description": "x"}', b"\xff"])
def test_a_body_that_is_no_card_is_refused_with_a_sentence(body):
    with pytest.raises(WrongCard, match="card"):
        read_card(body)


def test_a_redirect_to_another_server_makes_that_one_the_origin():
    card = read_card(
        b'{"name": "a", "supportedInterfaces": [{"url": "https://a.example/x",'
        b' "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]}'
    )

    assert choose_interface(card, served_by="https://a.example/card").url == "https://a.example/x"
    with pytest.raises(WrongCard):
        choose_interface(card, served_by="https://b.example/card")
    with pytest.raises(WrongCard):
        choose_interface(card, served_by="http://a.example/card")


def test_a_stored_credential_is_not_sent_to_another_server(acme, partner, settings):
    settings.A2A_ORIGINS = ["https://other.example.org"]
    settings.EGRESS_PORTS = [*settings.EGRESS_PORTS, 443]
    register(acme, partner, credential=SECRET)
    partner.claim(("https://other.example.org/", "JSONRPC"))

    with pytest.raises(InvalidAgentCard, match="credential again"):
        refresh_remote_agent(agent=stored(acme))

    agent = stored(acme)
    agent.credential = "another"
    refresh_remote_agent(agent=agent)
    assert stored(acme).interface_url == "https://other.example.org/"


def test_names_are_unique_in_a_tenant_and_free_in_others(acme, rival, partner):
    register(acme, partner)
    register(rival, partner)

    with pytest.raises(RemoteAgentNameTaken):
        register(acme, partner)
    with pytest.raises(ValidationError):
        register(acme, partner, name="two words")
    with pytest.raises(ValidationError):
        register(acme, partner, name="b", credential_header="host")


def test_a_tool_names_a_remote_agent_of_its_own_tenant(acme, rival, partner):
    register(rival, partner)
    tool = Tool(
        tenant=acme.tenant,
        name="ask",
        kind="a2a",
        description="Asks.",
        settings={"agent": "partner"},
    )

    with pytest.raises(ValidationError, match="no remote agent"):
        save_tool(tool=tool)

    register(acme, partner, credential=SECRET)
    save_tool(tool=tool)
    spec = load_tools_by_name(acme.tenant.pk)["ask"]
    assert (spec.settings["url"], spec.credential) == (partner.url, SECRET)
    assert spec.schema["required"] == ["message"]
    assert SECRET not in repr(spec)


@pytest.mark.parametrize("end", ["disabled", "deleted"])
def test_a_tool_without_its_remote_agent_has_no_address(acme, partner, end):
    agent = register(acme, partner, credential=SECRET)
    make_tool(acme.tenant, name="ask", kind="a2a", settings={"agent": "partner"})

    if end == "deleted":
        delete_remote_agent(agent=agent)
    else:
        agent.enabled = False
        save_remote_agent(agent=agent)

    spec = load_tools_by_name(acme.tenant.pk)["ask"]
    assert (spec.settings, spec.credential) == ({"agent": "partner"}, "")
