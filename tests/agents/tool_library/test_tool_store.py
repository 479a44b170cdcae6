"""Tools as rows: what gateways read of them, and what is refused before it is stored."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from agents.models import Agent, Tool
from agents.runtime.catalog.tools import ToolCatalog
from agents.tool_library.store import (
    delete_tool,
    ensure_no_cycle,
    load_tools,
    load_tools_by_name,
    save_tool,
)
from kernel.publishing.publish import revisions_after
from tenants.scoping import tenant_scope
from tests.fixtures.cast import hire, serve
from tests.fixtures.gateway import in_database

HTTP = {
    "kind": "http",
    "description": "Looks up",
    "settings": {"url": "https://api.example.org/{id}"},
}
TIME = {"kind": "builtin", "description": "", "settings": {"function": "time"}}


def make(member, name="lookup", **fields):
    tool = Tool(tenant=member.tenant, name=name, **{**HTTP, **fields})
    save_tool(tool=tool)
    return tool


def problems(member, **fields):
    with pytest.raises(ValidationError) as caught:
        make(member, **fields)
    return {field: " ".join(messages) for field, messages in caught.value.message_dict.items()}


def test_tools_are_read_as_values_with_their_credential(acme):
    make(acme, credential="s3cret", needs_approval=True, timeout_seconds=7, description="Looks up")

    (tool,) = load_tools(acme.tenant.pk)

    assert (tool.name, tool.kind, tool.credential) == ("lookup", "http", "s3cret")
    assert (tool.timeout_seconds, tool.needs_approval, tool.description) == (7.0, True, "Looks up")
    assert "s3cret" not in repr(tool)


def test_the_credential_is_not_stored_in_plain(acme):
    make(acme, credential="s3cret")

    with connection.cursor() as cursor:
        cursor.execute("SELECT credential FROM agents_tool")
        assert "s3cret" not in cursor.fetchone()[0]


def test_only_the_tenants_own_tools_are_read(acme, rival):
    make(acme, "ours")
    make(rival, "theirs")

    assert [tool.name for tool in load_tools(acme.tenant.pk)] == ["ours"]
    assert load_tools(acme.tenant.pk, ["theirs"]) == ()


def test_only_enabled_and_named_tools_are_read(acme):
    make(acme, "a")
    make(acme, "b")
    make(acme, "off", enabled=False)

    assert [tool.name for tool in load_tools(acme.tenant.pk, ["b", "off", "gone"])] == ["b"]
    assert set(load_tools_by_name(acme.tenant.pk)) == {"a", "b"}


def test_a_credential_that_cannot_be_read_does_not_hold_up_the_others(acme):
    make(acme, "broken", credential="s3cret")
    make(acme, "whole", credential="s3cret")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE agents_tool SET credential = 'junk' WHERE name = 'broken'")

    broken, whole = load_tools(acme.tenant.pk)

    assert (broken.is_readable, broken.credential) == (False, "")
    assert (whole.is_readable, whole.credential) == (True, "s3cret")


def test_built_in_tools_bring_their_own_schema(acme):
    make(acme, "clock", **TIME)

    (tool,) = load_tools(acme.tenant.pk)

    assert "zone" in tool.schema["properties"]
    assert "time zone" in tool.description


def test_a_hand_off_takes_a_message(acme):
    hire(acme.tenant, serve("http://127.0.0.1:9"))
    make(acme, "ask", kind="agent", settings={"agent": "helper"})

    assert load_tools(acme.tenant.pk)[0].schema["required"] == ["message"]


async def test_a_change_is_published_to_the_gateways(acme):
    async def load(tenant_id):
        return await in_database(load_tools_by_name, tenant_id)

    catalog = ToolCatalog(load)
    tool = await in_database(make, acme)
    tenant = acme.tenant.pk

    assert [each.name for each in await catalog.named(tenant, ["gone", "lookup"])] == ["lookup"]
    await in_database(delete_tool, tool=tool)
    assert await catalog.named(tenant, ["lookup"]), "until it hears of it"
    topics = [topic for _, topic in await in_database(revisions_after, 0)]
    assert f"agents:{tenant}" in topics
    catalog.forget_tenant(tenant)
    assert await catalog.named(tenant, ["lookup"]) == ()


REFUSED = [
    ({"kind": "shell"}, "kind", "shell"),
    ({"settings": {}}, "settings", "'url' is missing"),
    ({"settings": {"url": "https://api.example.org/", "verb": "GET"}}, "settings", "verb"),
    ({"settings": {"url": "https://{host}/"}}, "settings", "without a placeholder"),
    ({"settings": {"url": "http://api.example.org/"}}, "settings", "must be public"),
    ({"settings": {"url": "https://169.254.169.254/{x}"}}, "settings", "not public"),
    ({"settings": {"url": "https://127.0.0.1/"}}, "settings", "not public"),
    ({"settings": {"url": "https://api.example.org:22/"}}, "settings", "port 22"),
    ({"settings": []}, "settings", "JSON object"),
    ({"schema": {"type": "string"}}, "schema", "must be"),
    ({"schema": {"properties": {"x": {"type": "nr"}}}}, "schema", "Not a JSON schema"),
    ({"schema": {"$ref": "https://example.org/"}}, "schema", "refers to"),
    ({"schema": {"description": "x" * 70_000}}, "schema", "at most 64 KiB"),
    ({"credential": "a\nb"}, "credential", "must not contain control characters"),
    ({"name": "a b"}, "name", "letters, digits"),
    ({"timeout_seconds": 0}, "timeout_seconds", "1"),
    ({"kind": "builtin", "settings": {"function": "shell"}}, "settings", "function"),
    ({"kind": "agent", "settings": {"agent": ""}}, "settings", "agent"),
    ({"kind": "agent", "settings": {"agent": "nobody"}}, "settings", "no agent 'nobody'"),
]


@pytest.mark.parametrize(("fields", "field", "sentence"), REFUSED)
def test_a_tool_that_could_not_work_is_refused_with_a_sentence(
    acme, settings, fields, field, sentence
):
    settings.EGRESS_ALLOW, settings.EGRESS_PORTS, settings.EGRESS_HTTP = [], [443], False

    assert sentence in problems(acme, **fields)[field]

    with tenant_scope(acme.tenant.pk):
        assert not Tool.objects.exists()


def test_a_hand_off_to_another_tenants_agent_is_refused(acme, rival):
    hire(rival.tenant, serve("http://127.0.0.1:9"))

    found = problems(acme, kind="agent", settings={"agent": "helper"})

    assert "no agent 'helper' of this tenant" in found["settings"]


@pytest.fixture
def two(acme):
    """The agents `one`, which may hand over to `two`, and `two`, which may not yet."""
    route = serve("http://127.0.0.1:9")
    one = hire(acme.tenant, route, slug="one")
    two = hire(acme.tenant, route, slug="two")
    make(acme, "to_two", kind="agent", settings={"agent": "two"})
    make(acme, "to_one", kind="agent", settings={"agent": "one"})
    with tenant_scope(acme.tenant.pk):
        Agent.objects.filter(pk=one.pk).update(tools=["to_two"])
    return two


def test_agents_that_would_hand_over_in_a_circle_are_refused(two):
    two.tools = ["to_one"]

    with pytest.raises(ValidationError, match="two → one → two"):
        ensure_no_cycle(two)


def test_an_agent_that_hands_over_to_itself_is_refused(two):
    two.tools = ["to_two"]

    with pytest.raises(ValidationError, match="two → two"):
        ensure_no_cycle(two)


def test_a_chain_without_a_circle_is_taken(two):
    two.tools = []

    ensure_no_cycle(two)


def test_a_tool_that_closes_a_circle_by_a_change_is_refused(acme, two):
    with tenant_scope(acme.tenant.pk):
        Agent.objects.filter(pk=two.pk).update(tools=["onward"])
    found = problems(acme, name="onward", kind="agent", settings={"agent": "one"})

    assert "in a cycle: one → two → one" in found["settings"]
