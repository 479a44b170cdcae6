"""The tools of an MCP server, on a page: listed by the server, chosen by a person."""

import asyncio

import pytest
from aiohttp import web
from django.urls import reverse

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")

from agents.models import Tool
from agents.runtime.tools.mcp import calling
from tests.fakes.legacy_mcp import LegacyMcp
from tests.fixtures.console.people import rows
from tests.fixtures.servers.tool_servers import local

SECRET = "sesame-open-now"


def offer(console, tenant, server, **told):
    usual = {"credential_header": "authorization", "credential_prefix": "Bearer "}
    url = local(server, "/mcp")
    body = {"tenant": tenant.pk, "url": url, **usual, **told}
    return console.post(reverse("admin:agents_tool_mcp"), body, follow=True)


def speak(server, *, lies=None, **how):
    """What the server does from now on."""
    server.answers["/mcp"] = LegacyMcp(lies=lies, **how).handle


def listing(*tools):
    return {"tools/list": {"result": {"tools": list(tools)}}}


def tool(name, **more):
    return {"name": name, "description": "Does.", "inputSchema": {"type": "object"}, **more}


def sentence(answer):
    assert not answer.redirect_chain
    (message,) = [each for errors in answer.context["form"].errors.values() for each in errors]
    return message


def test_the_tools_of_a_server_are_listed_and_chosen(console, acme, tool_host):
    speak(tool_host, lies=listing(tool("stock.count"), tool("weigh")))

    offered = offer(console, acme, tool_host, new_credential=SECRET, beginning="w_")
    body = {"names": ["w_stock_count"], "timeout_seconds": 7}
    console.post(offered.redirect_chain[-1][0], body)

    made = rows(Tool).get()
    assert (made.name, made.kind, made.timeout_seconds) == ("w_stock_count", "mcp", 7)
    assert made.settings == {"url": local(tool_host, "/mcp"), "tool": "stock.count"}
    assert made.credential == SECRET
    assert all(
        headers["Authorization"] == f"Bearer {SECRET}" for _, _, headers, _ in tool_host.seen
    )


def test_a_server_that_repeats_the_credential_is_not_repeated(console, acme, tool_host):
    told = {"type": "object", "properties": {SECRET: {"type": "string", "default": SECRET}}}
    speak(tool_host, lies=listing(tool("stock", description=SECRET, inputSchema=told)))
    offered = offer(console, acme, tool_host, new_credential=SECRET)
    console.post(offered.redirect_chain[-1][0], {"names": ["stock"], "timeout_seconds": 7})

    speak(tool_host, lies={"tools/list": {"error": {"code": 1, "message": f"No: {SECRET}"}}})
    refused = offer(console, acme, tool_host, new_credential=SECRET)

    assert SECRET not in offered.content.decode() + sentence(refused)
    assert "No: [credential]" in sentence(refused)
    assert SECRET not in f"{rows(Tool).get().schema} {rows(Tool).get().description}"


LIES = {
    "a page": {"initialize": web.Response(text="<html>", content_type="text/html")},
    "another shape": listing({"name": 5}),
    "a schema of no object": listing(tool("x", inputSchema={"type": "array"})),
    "no tools": listing(),
    "no result": {"tools/list": {}},
    "a wrong status": {"tools/list": web.Response(status=500)},
    "an endless answer": listing(tool("x", description="x" * 5_000_000)),
}


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES)
def test_a_server_that_lies_is_a_sentence(console, acme, tool_host, monkeypatch, lies):
    monkeypatch.setattr(calling, "LIST_SECONDS", 2.0)
    speak(tool_host, lies=lies)
    told = sentence(offer(console, acme, tool_host))
    assert told.endswith(".")
    assert "\n" not in told


def test_a_server_that_hangs_is_a_sentence_in_time(console, acme, tool_host, monkeypatch):
    monkeypatch.setattr(calling, "LIST_SECONDS", 0.5)

    async def hang(request):
        await asyncio.sleep(60)

    tool_host.answers["/mcp"] = hang
    assert "in time" in sentence(offer(console, acme, tool_host))


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputSchema": {"type": "object", "properties": {"a": {"$ref": "https://e.org/x"}}}},
        {"inputSchema": {"type": "object", "title": "\0"}},
        {"inputSchema": {"type": "object", "description": "x" * 70_000}},
    ],
)
def test_a_tool_that_could_not_be_stored_cannot_be_ticked(console, acme, tool_host, wrong):
    speak(tool_host, lies=listing(tool("bad", **wrong), tool("good", description="a\0b")))
    offered = offer(console, acme, tool_host)

    refused = console.post(offered.redirect_chain[-1][0], {"names": ["bad"], "timeout_seconds": 7})
    console.post(offered.redirect_chain[-1][0], {"names": ["good"], "timeout_seconds": 7})

    assert "disabled" in offered.content.decode()
    assert refused.context["form"].errors["names"]
    assert [each.name for each in rows(Tool)] == ["good"]


def test_nothing_is_asked_inside(console, acme, tool_host, settings):
    settings.EGRESS_ALLOW = []
    assert "not public" in sentence(offer(console, acme, tool_host))
    assert tool_host.seen == []


def test_a_header_that_cannot_be_sent_is_a_sentence(console, acme, tool_host):
    speak(tool_host)
    assert "host" in sentence(offer(console, acme, tool_host, credential_header="host"))
