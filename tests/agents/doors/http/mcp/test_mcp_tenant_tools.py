"""Tools of a tenant over MCP: called outside of a run, counted as requests without tokens."""

import asyncio

import pytest
from aiohttp import web
from django.core.exceptions import ValidationError
from mcp import MCPError

from tests.fixtures.cast import hire, issue
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.limits.limits import own_rate
from tests.fixtures.mcp_client import mcp_client, names_of, text_of
from tests.fixtures.runs.tools import make_tool
from tests.fixtures.servers.tool_servers import local

SECRET = "credential-of-acme"
pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def calculator(acme):
    return make_tool(
        acme.tenant,
        name="calculator",
        description="Computes.",
        settings={"function": "calculator"},
        offered_over_mcp=True,
    )


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_tool_is_listed_and_called(calculator, gateway, acme, mode):
    async with mcp_client(gateway, acme, mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
        result = await client.call_tool("calculator", {"expression": "6 * 7"})

    assert (tool.name, tool.description) == ("calculator", "Computes.")
    assert tool.input_schema["required"] == ["expression"]
    assert (text_of(result), result.is_error) == ("42", False)


async def test_a_call_is_recorded_and_uses_no_tokens(calculator, gateway, acme):
    async with mcp_client(gateway, acme) as client:
        await client.call_tool("calculator", {"expression": "6 * 7"})

    (event,) = await ledger()
    assert (event.door, event.status, event.prompt_tokens) == ("mcp", "completed", 0)
    assert event.decision == {"tool": "calculator"}


async def test_limits_of_requests_count_calls(calculator, gateway, acme):
    await in_database(own_rate, acme.tenant, requests_per_minute=1)

    async with mcp_client(gateway, acme) as client:
        calls = [await client.call_tool("calculator", {"expression": "1"}) for _ in range(2)]

    assert [each.is_error for each in calls] == [False, True]
    assert calls[1].meta["tenantry/error_code"] == "requests_per_minute"


async def test_a_rivals_tool_and_one_that_is_not_offered_are_unknown(
    calculator, gateway, acme, rival
):
    await in_database(make_tool, acme.tenant)

    assert await names_of(gateway, rival) == []
    for member, name in ((rival, "calculator"), (acme, "clock")):
        async with mcp_client(gateway, member) as client:
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool(name, {})


async def test_a_key_that_is_limited_to_models_is_offered_no_tools(calculator, gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny, offered_over_mcp=True)
    limited = await in_database(issue, acme.tenant, allowed_models=["helper"])

    assert await names_of(gateway, limited) == ["helper"]


async def test_an_agent_hides_a_tool_of_its_name(calculator, gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny, slug="calculator", offered_over_mcp=True)

    async with mcp_client(gateway, acme) as client:
        (tool,) = (await client.list_tools()).tools

    assert tool.title == "Helper"


async def test_a_tool_that_fails_is_an_error_without_its_credential(tool_host, gateway, acme):
    said = web.json_response({"problem": f"{SECRET} is not valid"}, status=500)
    tool_host.answers["/orders"] = said
    await in_database(
        make_tool,
        acme.tenant,
        name="orders",
        kind="http",
        settings={"url": local(tool_host, "/orders")},
        credential=SECRET,
        offered_over_mcp=True,
    )

    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("orders", {})

    assert result.is_error
    assert "is not valid" in text_of(result)
    assert SECRET not in result.model_dump_json()
    assert tool_host.last[2]["Authorization"] == f"Bearer {SECRET}"
    (event,) = await ledger()
    assert event.status == "failed"


@pytest.mark.slow
async def test_a_call_ends_when_the_client_leaves(tool_host, gateway, acme):
    tool_host.answers["/orders"] = hang
    url = local(tool_host, "/orders")
    facts = {"kind": "http", "settings": {"url": url}, "timeout_seconds": 600}
    await in_database(make_tool, acme.tenant, name="orders", offered_over_mcp=True, **facts)

    async def ask():
        async with mcp_client(gateway, acme) as client:
            await client.call_tool("orders", {})

    asking = asyncio.create_task(ask())
    await eventually(lambda: len(tool_host.seen) == 1, within=60)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    await eventually(lambda: tool_host.left == 1, within=60)
    (event,) = await ledger(within=60)
    assert event.status == "client_left"


async def hang(_):
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "facts",
    [
        {"needs_approval": True},
        {"kind": "agent", "settings": {"agent": "helper"}},
        {"settings": {"function": "publish"}},
    ],
)
def test_a_tool_that_needs_a_run_cannot_be_offered(acme, tiny, facts):
    hire(acme.tenant, tiny)

    with pytest.raises(ValidationError) as refused:
        make_tool(acme.tenant, offered_over_mcp=True, **facts)

    assert "offered_over_mcp" in refused.value.message_dict
