"""The console's pages of tools, and the tools of an agent's draft."""

import json

import pytest
from django.db import connection
from django.urls import reverse

from agents import services
from agents.models import Agent, Tool
from tests.fixtures.console.people import rows
from tests.fixtures.runs.tools import make_tool

SECRET = "sesame-open-now"
ORDERS = {
    "name": "orders",
    "kind": "http",
    "enabled": "on",
    "description": "Finds an order.",
    "schema": json.dumps({"type": "object", "properties": {"number": {"type": "string"}}}),
    "settings": json.dumps({"url": "https://93.184.216.34/orders/{number}"}),
    "timeout_seconds": 20,
}


def page(name, *args):
    return reverse(f"admin:agents_{name}", args=args)


def test_a_tool_is_made_with_a_credential_that_nobody_sees_again(console, acme):
    body = {**ORDERS, "tenant": acme.pk, "new_credential": SECRET}
    answer = console.post(page("tool_add"), body, follow=True)
    tool = rows(Tool).get()
    assert (tool.name, tool.credential) == ("orders", SECRET)
    shown = console.get(page("tool_change", tool.pk)).content.decode()
    assert SECRET not in shown + answer.content.decode()
    assert "set (encrypted)" in shown
    with connection.cursor() as cursor:
        cursor.execute("SELECT credential FROM agents_tool")
        assert SECRET not in cursor.fetchone()[0]


@pytest.mark.parametrize(
    ("told", "kept"),
    [({}, SECRET), ({"forget_credential": "on"}, ""), ({"new_credential": "other"}, "other")],
)
def test_a_credential_stays_until_it_is_replaced_or_forgotten(console, acme, told, kept):
    tool = make_tool(
        acme,
        **{name: ORDERS[name] for name in ("name", "kind", "description")},
        settings=json.loads(ORDERS["settings"]),
        schema=json.loads(ORDERS["schema"]),
        credential=SECRET,
    )
    console.post(page("tool_change", tool.pk), {**ORDERS, **told})
    assert rows(Tool).get().credential == kept


def make_orders(acme):
    return make_tool(
        acme,
        **{name: ORDERS[name] for name in ("name", "kind", "description")},
        settings=json.loads(ORDERS["settings"]),
        schema=json.loads(ORDERS["schema"]),
        credential=SECRET,
    )


@pytest.mark.parametrize(
    ("url", "given", "stored"),
    [
        ("https://93.184.216.35/orders/{number}", {}, None),
        ("https://93.184.216.34:8443/orders/{number}", {}, None),
        ("https://93.184.216.35/", {"new_credential": SECRET}, SECRET),
        ("https://93.184.216.35/", {"forget_credential": "on"}, ""),
        ("https://93.184.216.34/v2/{number}", {}, SECRET),
    ],
)
def test_a_stored_credential_does_not_follow_a_tool_to_another_host(
    console, acme, url, given, stored
):
    tool = make_orders(acme)

    answer = console.post(
        page("tool_change", tool.pk), {**ORDERS, "settings": json.dumps({"url": url}), **given}
    )

    if stored is None:
        assert "another host" in str(answer.context["adminform"].form.errors["settings"])
    else:
        assert (rows(Tool).get().settings["url"], rows(Tool).get().credential) == (url, stored)


def test_the_management_api_keeps_a_credential_at_its_host(console, acme):
    tool = make_orders(acme)
    body = {"settings": {"url": "https://93.184.216.35/"}}

    answers = [
        console.patch(f"/api/v1/tools/{tool.pk}", each, content_type="application/json")
        for each in (body, {**body, "credential": "new"}, {"description": "x"})
    ]

    assert [answer.status_code for answer in answers] == [400, 200, 200]
    assert (rows(Tool).get().credential, rows(Tool).get().description) == ("new", "x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("settings", "[]x"), ("settings", '{"url": "http://169.254.169.254/"}')),
        *(("settings", '{"uri": "https://93.184.216.34/"}'), ("schema", '{"type": "nonsense"}')),
        *(("timeout_seconds", 0), ("name", "two words"), ("kind", "shell")),
    ],
)
def test_a_tool_that_could_not_work_is_an_error_at_its_field(console, acme, field, value):
    body = {**ORDERS, "tenant": acme.pk, field: value}
    answer = console.post(page("tool_add"), body)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors
    assert not rows(Tool).exists()


def test_a_built_in_tool_describes_itself(console, acme):
    body = {**ORDERS, "tenant": acme.pk, "kind": "builtin", "description": "", "schema": "{}"}
    body["settings"] = '{"function": "calculator"}'
    console.post(page("tool_add"), body)
    assert rows(Tool).get().description


def test_tools_are_disabled_together(console, acme):
    tool = make_tool(acme)
    body = {"action": "disable_selected", "_selected_action": [tool.pk]}
    console.post(page("tool_changelist"), body)
    assert not rows(Tool).get().enabled


def test_a_draft_offers_the_tools_of_its_own_tenant(console, acme, rival, route):
    make_tool(acme)
    make_tool(rival, name="secret_tool")
    agent = services.create_agent(tenant=acme, slug="helper", name="Helper", route=route)
    shown = console.get(page("agent_change", agent.pk)).content.decode()
    assert "clock (built-in)" in shown
    assert "secret_tool" not in shown


def test_tools_are_chosen_for_a_draft(console, acme, route):
    make_tool(acme)
    agent = services.create_agent(tenant=acme, slug="helper", name="Helper", route=route)
    body = {
        "name": "Helper", "route": route.pk, "instructions": "", "parameters": "", "variables": "",
        "max_steps": 8, "max_tool_calls": 16, "max_run_seconds": 600, "busy_policy": "",
        "overflow": "drop", "response_cache": "off", "cache_seconds": 3600,
        "revisions-TOTAL_FORMS": 0, "revisions-INITIAL_FORMS": 0,
    }  # fmt: skip
    console.post(page("agent_change", agent.pk), {**body, "tools": ["clock"]})
    assert rows(Agent).get().tools == ["clock"]
    answer = console.post(page("agent_change", agent.pk), {**body, "tools": ["nothing"]})
    assert answer.context["adminform"].form.errors["tools"]


def test_a_tool_that_leads_back_to_its_agent_is_an_error_at_the_tools(console, acme, route):
    agent = services.create_agent(tenant=acme, slug="helper", name="Helper", route=route)
    make_tool(acme, name="self", kind="agent", settings={"agent": "helper"})
    body = {
        "name": "Helper", "route": route.pk, "max_steps": 8, "max_tool_calls": 16,
        "max_run_seconds": 600, "overflow": "drop", "response_cache": "off", "cache_seconds": 60,
        "revisions-TOTAL_FORMS": 0, "revisions-INITIAL_FORMS": 0, "tools": ["self"],
    }  # fmt: skip
    answer = console.post(page("agent_change", agent.pk), body)
    assert answer.context["adminform"].form.errors["tools"]
    assert rows(Agent).get().tools == []


def test_a_tool_of_a_kind_that_this_version_does_not_know_has_a_page(console, acme):
    tool = make_tool(acme)
    rows(Tool).update(kind="later")

    answer = console.get(page("tool_change", tool.pk))

    assert answer.status_code == 200
    assert "clock" in answer.content.decode()
