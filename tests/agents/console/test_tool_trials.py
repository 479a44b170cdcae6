"""A test call on a tool's page: made once, as a run makes it, by somebody who may."""

import asyncio
import json

import pytest
from aiohttp import web
from auditlog.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse

from tests.fixtures.runs.tools import make_tool
from tests.fixtures.servers.tool_servers import local

SECRET = "sesame-open-now"
SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer"}},
    "required": ["number"],
}


@pytest.fixture
def orders(acme, tool_host):
    return make_tool(
        acme,
        name="orders",
        kind="http",
        description="Finds an order.",
        schema=SCHEMA,
        settings={"url": local(tool_host, "/orders/{number}")},
        credential=SECRET,
        timeout_seconds=1,
    )


def page(tool):
    return reverse("admin:agents_tool_trial", args=(tool.pk,))


def try_it(console, tool, arguments='{"number": 7}'):
    return console.post(page(tool), {"arguments": arguments})


def text_of(answer):
    return answer.content.decode()


def test_the_call_is_made_as_a_run_makes_it(console, orders, tool_host):
    answer = try_it(console, orders)

    assert (tool_host.last[1], len(tool_host.seen)) == ("/orders/7", 1)
    assert tool_host.last[2]["Authorization"] == f"Bearer {SECRET}"
    assert answer.context["trial"].output == '{"ok": true}'
    assert "ms</span>" in text_of(answer)


def test_what_a_server_repeats_of_the_credential_is_not_shown(console, orders, tool_host):
    tool_host.answers["/orders/7"] = web.Response(text=f"<b>You sent {SECRET}</b>")

    text = text_of(try_it(console, orders))

    assert SECRET not in text
    assert "&lt;b&gt;You sent [credential]" in text


def test_nothing_is_called_to_show_the_page(console, orders, tool_host):
    text = text_of(console.get(page(orders), {"arguments": '{"number": 7}'}))

    assert tool_host.seen == []
    assert "&quot;number&quot;: 0" in text


@pytest.mark.parametrize("arguments", ["", "[]", "{", '{"number": "x"}', "{}"])
def test_arguments_that_do_not_fit_are_an_error_at_their_field(
    console, orders, tool_host, arguments
):
    answer = try_it(console, orders, arguments)

    assert answer.context["form"].errors["arguments"]
    assert tool_host.seen == []
    assert not LogEntry.objects.filter(action=LogEntry.Action.ACCESS).exists()


def test_a_server_that_hangs_is_an_error_within_the_tools_limit(console, orders, tool_host):
    async def hang(request):
        await asyncio.sleep(30)

    tool_host.answers["/orders/7"] = hang

    trial = try_it(console, orders).context["trial"]

    assert trial.is_error
    assert trial.seconds > 0.9
    assert "took" in trial.output


def test_an_address_that_is_not_allowed_is_an_error(console, orders, tool_host, settings):
    settings.EGRESS_ALLOW = []

    trial = try_it(console, orders).context["trial"]

    assert (trial.is_error, tool_host.seen) == (True, [])
    assert "not public" in trial.output


def test_who_called_what_is_noted_but_not_what_was_said(console, orders, operator):
    try_it(console, orders)

    before, after = LogEntry.objects.filter(action=LogEntry.Action.ACCESS).order_by("pk")
    assert (before.actor, before.object_repr) == (operator, "orders")
    assert before.changes_dict == {"test call": ["", "with number"]}
    assert after.changes_dict["test call"][1].startswith("answered after ")


def test_a_built_in_tool_can_be_tried(console, acme):
    tool = make_tool(acme, name="calc", settings={"function": "calculator"})
    answer = try_it(console, tool, json.dumps({"expression": "6 * 7"}))
    assert answer.context["trial"].output == "42"


def test_an_agent_is_asked_in_runs_only(console, acme, route):
    from agents import services

    services.create_agent(tenant=acme, slug="billing", name="Billing", route=route)
    tool = make_tool(acme, name="hand", kind="agent", settings={"agent": "billing"})

    answer = try_it(console, tool, '{"message": "hello"}')

    assert answer.context["trial"] is None
    assert "works only within a run" in text_of(answer)


def test_somebody_who_is_no_operator_is_sent_away(client, orders, tool_host, django_user_model):
    person = django_user_model.objects.create_user("eve", is_staff=True)
    person.user_permissions.set(Permission.objects.all())
    client.force_login(person)

    answer = try_it(client, orders)

    assert answer.status_code == 302
    assert tool_host.seen == []
