"""Agents as tools of an MCP server: listed, called, metered and limited, by the official client."""

import asyncio

import pytest
from django.utils import timezone
from mcp import MCPError

from agents import services
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.cast import hire, issue
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.limits.limits import own_quota, own_rate
from tests.fixtures.mcp_client import mcp_client, names_of, text_of
from tests.fixtures.runs.tools import make_tool

MODES = ("auto", "legacy")
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


@pytest.fixture
def helper(acme, tiny):
    return hire(acme.tenant, tiny, offered_over_mcp=True, description="Helps.")


@pytest.mark.parametrize("mode", MODES)
async def test_an_agent_is_listed_and_answers(helper, gateway, acme, engine, mode):
    engine.behave(Behaviour(script=["Good day."]))

    async with mcp_client(gateway, acme, mode=mode) as client:
        (tool,) = (await client.list_tools()).tools
        result = await client.call_tool("helper", {"message": "hello"})

    assert (tool.name, tool.title, tool.description) == ("helper", "Helper", "Helps.")
    assert tool.input_schema["required"] == ["message"]
    assert (text_of(result), result.is_error) == ("Good day.", False)
    assert engine.records.rows[0].body["messages"][-1]["content"] == "hello"


async def test_a_call_is_metered_and_its_response_can_be_read(helper, gateway, acme):
    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "hello"})

    (event,) = await ledger()
    assert (event.door, event.agent, event.status) == ("mcp", "helper", "completed")
    assert event.prompt_tokens > 0
    response = await gateway.get(acme, f"/v1/responses/{result.meta['tenantry/response_id']}")
    assert response.json()["output"][0]["content"][0]["text"] == text_of(result)


async def test_only_offered_agents_that_the_key_may_use_are_tools(helper, gateway, acme, rival):
    tiny = helper.route
    await in_database(hire, acme.tenant, tiny, slug="other", offered_over_mcp=True)
    await in_database(hire, acme.tenant, tiny, slug="hidden")
    await in_database(hire, rival.tenant, tiny, slug="theirs", offered_over_mcp=True)
    limited = await in_database(issue, acme.tenant, allowed_models=["other"])

    assert sorted(await names_of(gateway, acme)) == ["helper", "other"]
    assert await names_of(gateway, limited) == ["other"]
    assert await names_of(gateway, rival) == ["theirs"]


async def test_an_agent_that_is_not_offered_or_of_a_rival_is_unknown(
    helper, gateway, acme, rival, engine
):
    await in_database(hire, acme.tenant, helper.route, slug="hidden")

    for mode in MODES:
        for member, name in ((acme, "hidden"), (rival, "helper")):
            async with mcp_client(gateway, member, mode=mode) as client:
                with pytest.raises(MCPError, match="Unknown tool"):
                    await client.call_tool(name, {"message": "hello"})

    assert not len(engine.records)


async def test_one_agent_has_an_address_of_its_own(helper, gateway, acme, rival):
    await in_database(hire, acme.tenant, helper.route, slug="other", offered_over_mcp=True)
    await in_database(hire, acme.tenant, helper.route, slug="hidden")

    assert await names_of(gateway, acme, "/mcp/helper") == ["helper"]
    for member, path in ((rival, "/mcp/helper"), (acme, "/mcp/hidden"), (acme, "/mcp/none")):
        answer = await gateway.post(member, path, json={})
        assert (answer.status, answer.error["code"]) == (404, "not_found")


async def test_a_change_takes_effect_without_a_publication(helper, gateway, acme):
    assert await names_of(gateway, acme) == ["helper"]
    helper.offered_over_mcp = False
    await in_database(services.save_draft, agent=helper)

    async with asyncio.timeout(30):
        while await names_of(gateway, acme):
            await asyncio.sleep(0.05)


async def test_a_paused_agent_is_not_listed_and_says_so(helper, gateway, acme):
    await in_database(services.pause_agent, agent=helper)
    while (await gateway.get(acme, "/v1/models/helper")).status == 200:
        await asyncio.sleep(0.05)

    assert await names_of(gateway, acme) == []
    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "hello"})
    assert result.is_error
    assert result.meta["tenantry/error_code"] == "agent_paused"


async def test_arguments_that_do_not_match_are_an_error_for_the_model(
    helper, gateway, acme, engine
):
    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"messages": "hello"})

    assert result.is_error
    assert "message" in text_of(result)
    assert not len(engine.records)


async def test_a_bug_is_an_error_of_the_call_and_is_logged(helper, gateway, acme, caplog):
    gateway.worker.gateway.runner.start = None

    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "hello"})

    assert result.meta["tenantry/error_code"] == "internal_error"
    assert "mcp: unexpected failure of a call" in caplog.text


async def test_the_schemas_of_the_only_capability_are_those_of_the_tool(
    acme, tiny, gateway, engine
):
    await in_database(
        hire,
        acme.tenant,
        tiny,
        offered_over_mcp=True,
        capabilities=["translate"],
        capability_schemas={"translate": {"input": SCHEMA, "output": SCHEMA}},
    )
    engine.behave(Behaviour(script=['{"text": "Guten Tag"}']))

    async with mcp_client(gateway, acme) as client:
        (tool,) = (await client.list_tools()).tools
        result = await client.call_tool("helper", {"text": "Good day"})

    assert tool.input_schema == tool.output_schema == SCHEMA
    assert result.structured_content == {"text": "Guten Tag"}
    (asked,) = engine.records.rows
    assert asked.body["messages"][-1]["content"] == '{"text":"Good day"}'
    assert asked.body["response_format"]["json_schema"]["schema"] == SCHEMA


async def test_an_answer_that_is_no_object_is_an_error(acme, tiny, gateway, engine):
    await in_database(
        hire,
        acme.tenant,
        tiny,
        offered_over_mcp=True,
        capabilities=["translate"],
        capability_schemas={"translate": {"output": SCHEMA}},
    )
    engine.behave(Behaviour(script=["Guten Tag"]))

    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "Good day"})

    assert result.is_error
    assert "output schema" in text_of(result)


async def test_over_a_limit_the_call_is_an_error_and_costs_nothing(helper, gateway, acme, engine):
    await in_database(own_rate, acme.tenant, requests_per_minute=1)

    async with mcp_client(gateway, acme) as client:
        results = [await client.call_tool("helper", {"message": "hello"}) for _ in range(2)]

    assert [each.is_error for each in results] == [False, True]
    assert results[1].meta["tenantry/error_code"] == "requests_per_minute"
    assert len(engine.records) == 1


async def test_over_a_quota_the_call_is_an_error_that_says_until_when(
    helper, gateway, acme, engine
):
    await in_database(own_quota, acme.tenant, now=timezone.now(), limit=1)

    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "hello"})

    assert result.is_error
    assert result.meta["tenantry/error_code"] == "quota_exhausted"
    assert "quota" in text_of(result)
    assert not len(engine.records)


async def test_an_engine_that_fails_is_an_error_of_the_tool(helper, gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.REFUSES, status=500))

    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "hello"})

    assert result.is_error
    assert result.meta["tenantry/error_code"]
    (event,) = await ledger()
    assert event.status == "failed"


async def test_a_run_that_waits_for_a_person_says_so(acme, tiny, gateway, engine):
    facts = {"settings": {"function": "calculator"}, "needs_approval": True}
    await in_database(make_tool, acme.tenant, name="calc", **facts)
    await in_database(hire, acme.tenant, tiny, offered_over_mcp=True, tools=["calc"])
    call = {"name": "calc", "arguments": {"expression": "6 * 7"}}
    engine.behave(Behaviour(script=([call], "It is 42.")))

    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "hello"})

    response = await gateway.get(acme, f"/v1/responses/{result.meta['tenantry/response_id']}")
    assert result.is_error
    assert "waits for an approval" in text_of(result)
    assert response.json()["output"][0]["type"] == "mcp_approval_request"


async def test_an_agent_that_ends_early_is_an_error_with_the_reason(acme, tiny, gateway, engine):
    await in_database(make_tool, acme.tenant)
    await in_database(hire, acme.tenant, tiny, offered_over_mcp=True, tools=["clock"], max_steps=1)
    engine.behave(Behaviour(script=([{"name": "clock", "arguments": {}}], "Noon.")))

    async with mcp_client(gateway, acme) as client:
        result = await client.call_tool("helper", {"message": "hello"})

    assert result.is_error
    assert "did not finish (max_steps)" in text_of(result)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
async def test_the_run_ends_when_the_client_leaves(helper, gateway, acme, engine, mode):
    engine.behave(Behaviour(tokens=100_000, token_seconds=0.05))

    async def ask():
        async with mcp_client(gateway, acme, mode=mode) as client:
            await client.call_tool("helper", {"message": "hello"})

    asking = asyncio.create_task(ask())
    await eventually(
        lambda: len(gateway.worker.runner) == 1 and len(engine.records) == 1, within=60
    )
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    await eventually(lambda: len(gateway.worker.runner) == 0, within=60)
    (event,) = await ledger(within=60)
    assert event.status in {"client_left", "cancelled"}
