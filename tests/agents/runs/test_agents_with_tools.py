"""Agents that call tools, as `POST /v1/responses` shows, keeps and bills it."""

import asyncio
import json

import pytest

from agents.models import Item, Run, Tool
from agents.services import create_agent, publish, save_draft
from agents.tool_library.store import delete_tool, save_tool
from tenants.services import issue_key
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import Member, join, serve
from tests.fixtures.gateway import eventually, in_database, ledger


def give(member, name, **fields):
    tool = Tool(tenant=member.tenant, name=name, description="A tool.", **fields)
    save_tool(tool=tool)
    return tool


def employ(member, route, *, tools=(), slug="helper", instructions=""):
    """A published agent that may call `tools`."""
    agent = create_agent(
        tenant=member.tenant, route=route, slug=slug, name=slug, instructions=instructions
    )
    agent.tools = list(tools)
    save_draft(agent=agent)
    publish(agent=agent)


def says_after(*called, answer="Done."):
    return Behaviour(script=([{"name": name, "arguments": a} for name, a in called], answer))


@pytest.fixture
def route(transactional_db, engine):
    return serve(engine.url)


@pytest.fixture
def helper(acme, route):
    """An agent with a calculator."""
    give(acme, "calc", kind="builtin", settings={"function": "calculator"})
    employ(acme, route, tools=["calc"])


async def ask(gateway, member, **body):
    asked = {"model": "helper", "input": "Hi", **body}
    return await gateway.post(member, "/v1/responses", json=asked)


def outputs(answer):
    """Of the calls that the agent executed: what they gave, or why they failed."""
    calls = [item for item in answer.json()["output"] if item["type"] == "mcp_call"]
    return [
        call["error"]["content"][0]["text"] if call["error"] else call["output"] for call in calls
    ]


@pytest.mark.usefixtures("helper")
async def test_an_agent_calls_its_tool_and_answers(gateway, acme, engine):
    engine.behave(says_after(("calc", {"expression": "6 * 7"}), answer="It is 42."))

    answer = await ask(gateway, acme)

    body = answer.json()
    assert (answer.status, body["status"]) == (200, "completed")
    assert [item["type"] for item in body["output"]] == ["mcp_call", "message"]
    assert outputs(answer) == ["42"]
    assert body["output"][1]["content"][0]["text"] == "It is 42."
    sent = sum(record.usage_written["total_tokens"] for record in engine.records)
    assert body["usage"]["total_tokens"] == sent


@pytest.mark.usefixtures("helper")
async def test_every_step_is_a_row_of_the_ledger_and_the_run_counts_them(gateway, acme, engine):
    engine.behave(says_after(("calc", {"expression": "1"})))

    await ask(gateway, acme)

    rows = await ledger(rows=2)
    assert {row.agent for row in rows} == {"helper"}
    run = await in_database(Run.objects.get)
    assert (run.steps, run.tool_calls, run.state) == (2, 1, "completed")
    kinds = await in_database(lambda: list(Item.objects.values_list("kind", flat=True)))
    assert kinds == ["message", "mcp_call", "message"]


@pytest.mark.usefixtures("helper")
async def test_a_stream_tells_calls_and_results_in_order(gateway, acme, engine):
    engine.behave(says_after(("calc", {"expression": "1 + 1"})))

    answer = await ask(gateway, acme, stream=True)

    events = [json.loads(data) for data in answer.events if data != "[DONE]"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    added = [event["item"]["type"] for event in events if event["type"].endswith("item.added")]
    assert added == ["mcp_call", "message"]
    assert events[-1]["type"] == "response.completed"


@pytest.mark.usefixtures("helper")
async def test_the_next_turn_of_a_conversation_knows_what_was_called(gateway, acme, engine):
    engine.behave(says_after(("calc", {"expression": "1 + 1"})))
    first = (await ask(gateway, acme)).json()

    await ask(gateway, acme, previous_response_id=first["id"], input="And?")

    roles = [message["role"] for message in engine.records.last.body["messages"]]
    assert roles[:5] == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.usefixtures("helper")
async def test_a_function_of_the_client_is_given_back_to_it(gateway, acme, engine):
    engine.behave(says_after(("paint", {"colour": "red"}), ("calc", {"expression": "2"})))
    paint = {"type": "function", "name": "paint", "parameters": {"type": "object"}}

    body = (await ask(gateway, acme, tools=[paint])).json()

    assert [item["type"] for item in body["output"]] == ["function_call", "mcp_call"]
    assert [item["name"] for item in body["output"]] == ["paint", "calc"]
    assert body["status"] == "completed"


async def test_a_tool_of_another_tenant_is_none(gateway, acme, engine, route):
    rival = await in_database(join, "rival")
    calculates = {"kind": "builtin", "settings": {"function": "calculator"}}
    await in_database(give, rival, "calc", **calculates)
    # A draft cannot name a tool that its tenant does not have, so it had one, once.
    own = await in_database(give, acme, "calc", **calculates)
    await in_database(employ, acme, route, tools=["calc"])
    await in_database(delete_tool, tool=own)
    engine.behave(says_after(("calc", {"expression": "1"})))

    answer = await ask(gateway, acme)

    assert outputs(answer)[0].startswith("No tool may be called here.")
    assert "tools" not in engine.records.last.body


async def test_a_removed_tool_is_gone_within_a_second(gateway, acme, engine, route):
    tool = await in_database(
        give, acme, "calc", kind="builtin", settings={"function": "calculator"}
    )
    await in_database(employ, acme, route, tools=["calc"])
    await ask(gateway, acme)
    assert "tools" in engine.records.last.body
    await in_database(delete_tool, tool=tool)
    await asyncio.sleep(1.2)

    await ask(gateway, acme)

    assert "tools" not in engine.records.last.body


async def test_another_agent_answers_and_is_billed_as_itself(gateway, acme, engine, route):
    await in_database(employ, acme, route, slug="expert", instructions="Be an expert.")
    await in_database(give, acme, "consult", kind="agent", settings={"agent": "expert"})
    await in_database(employ, acme, route, tools=["consult"])
    call = [{"name": "consult", "arguments": {"message": "Why?"}}]
    engine.behave(
        Behaviour(script=(call,)), Behaviour(script=("Because.",)), Behaviour(script=("Ok.",))
    )

    answer = await ask(gateway, acme)

    assert outputs(answer) == ["Because."]
    assert sorted(row.agent for row in await ledger(rows=3)) == ["expert", "helper", "helper"]
    sent = sum(record.usage_written["total_tokens"] for record in engine.records)
    assert answer.json()["usage"]["total_tokens"] == sent


async def test_a_key_reaches_no_agent_by_hand_off_that_it_may_not_use(gateway, acme, engine, route):
    await in_database(employ, acme, route, slug="expert")
    await in_database(give, acme, "consult", kind="agent", settings={"agent": "expert"})
    await in_database(employ, acme, route, tools=["consult"])
    key = await in_database(issue_key, tenant=acme.tenant, name="narrow", allowed_models=["helper"])
    narrow = Member(tenant=acme.tenant, key=key.secret)
    engine.behave(says_after(("consult", {"message": "Why?"}), answer="I cannot ask."))

    answer = await ask(gateway, narrow)

    assert outputs(answer) == ["There is no agent 'expert' that could answer."]
    assert {row.agent for row in await ledger(rows=2)} == {"helper"}


async def test_a_tool_that_needs_a_person_is_not_called_by_itself(gateway, acme, engine, route):
    fields = {"kind": "builtin", "settings": {"function": "calculator"}, "needs_approval": True}
    await in_database(give, acme, "calc", **fields)
    await in_database(employ, acme, route, tools=["calc"])
    engine.behave(says_after(("calc", {"expression": "6 * 7"})))

    answer = await ask(gateway, acme)

    assert "42" not in str(outputs(answer))


async def test_cancelling_during_a_tool_ends_the_engines_request(gateway, acme, engine, route):
    await in_database(employ, acme, route, slug="expert")
    await in_database(give, acme, "consult", kind="agent", settings={"agent": "expert"})
    await in_database(employ, acme, route, tools=["consult"])
    call = [{"name": "consult", "arguments": {"message": "Why?"}}]
    engine.behave(Behaviour(script=(call,)), Behaviour(first_token_seconds=600))
    run = (await ask(gateway, acme, background=True)).json()
    await eventually(lambda: len(list(engine.records)) == 2)

    await gateway.post(acme, f"/v1/responses/{run['id']}/cancel")
    await engine.idle(timeout=60)

    seen = {}
    while seen.get("status") != "cancelled":
        seen = (await gateway.get(acme, f"/v1/responses/{run['id']}")).json()
    assert [item["type"] for item in seen["output"]] == ["mcp_call"]
