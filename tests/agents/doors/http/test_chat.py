"""`POST /v1/chat`: a text in, a text out, and the server keeps the session."""

import asyncio
import json

import pytest

from agents.models import Conversation, Item, Run
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database, ledger, running_gateway

pytestmark = pytest.mark.usefixtures("tiny")

PATH = "/v1/chat"


async def chat(gateway, member, text="hello", **body):
    return await gateway.post(member, PATH, json={"input_text": text, "agent": "tiny", **body})


def runs_under_way():
    return Run.objects.filter(state="in_progress").exists()


async def said(gateway, member, session):
    page = await gateway.get(member, f"/v1/conversations/{session}/items", params={"order": "asc"})
    return [(item["role"], item["content"][0]["text"]) for item in page.json()["data"]]


async def test_a_text_is_answered_in_a_new_session(gateway, acme, engine):
    answer = (await chat(gateway, acme)).json()

    assert set(answer) == {"response", "session_id", "usage"}
    assert answer["session_id"].startswith("conv_")
    assert answer["usage"]["total_tokens"] == (
        answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]
    )
    assert await said(gateway, acme, answer["session_id"]) == [
        ("user", "hello"),
        ("assistant", answer["response"]),
    ]
    (event,) = await ledger()
    assert (event.door, event.status) == ("chat", "completed")
    assert event.completion_tokens == answer["usage"]["completion_tokens"]


async def test_the_model_is_told_what_was_said_before(gateway, acme, engine):
    first = (await chat(gateway, acme, "one")).json()

    second = (await chat(gateway, acme, "two", session_id=first["session_id"])).json()

    assert second["session_id"] == first["session_id"]
    told = engine.records.last.body["messages"]
    assert [message["content"] for message in told] == ["one", first["response"], "two"]


async def test_any_gateway_goes_on_with_a_session(gateway, acme, engine):
    session = (await chat(gateway, acme, "one")).json()["session_id"]

    async with running_gateway() as other:
        answer = await chat(other, acme, "two", session_id=session)

    assert answer.status == 200
    assert len(await said(gateway, acme, session)) == 4


async def test_a_stream_names_its_session_then_tells_the_text(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3, token_seconds=0.05))

    answer = await chat(gateway, acme, stream=True)

    *events, done = answer.events
    first, *deltas, last = map(json.loads, events)
    assert done == "[DONE]"
    assert "".join(each["delta"] for each in deltas) == last["response"] != ""
    assert last["session_id"] == first["session_id"]
    assert (await said(gateway, acme, last["session_id"]))[-1] == ("assistant", last["response"])


async def test_a_session_stays_with_its_agent(gateway, acme, tiny, engine):
    await in_database(hire, acme.tenant, tiny, instructions="Be kind.")
    first = (await chat(gateway, acme, agent="helper")).json()

    again = await gateway.post(
        acme, PATH, json={"input_text": "two", "session_id": first["session_id"]}
    )

    assert again.status == 200
    assert engine.records.last.body["messages"][0]["content"] == "Be kind."
    run = await in_database(lambda: Run.objects.order_by("pk").last())
    assert run.agent == "helper"


async def test_the_only_agent_need_not_be_named(gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny)

    answer = await gateway.post(acme, PATH, json={"input_text": "hello"})

    assert answer.status == 200


async def test_without_an_agent_it_is_asked_which(gateway, acme):
    answer = await gateway.post(acme, PATH, json={"input_text": "hello"})

    assert (answer.status, answer.error["code"]) == (400, "missing_parameter")
    assert answer.error["param"] == "agent"


async def test_parameters_reach_the_engine(gateway, acme, engine):
    await chat(gateway, acme, parameters={"temperature": 0.5, "max_tokens": 7, "seed": 3})

    told = engine.records.last.body
    assert (told["temperature"], told["max_tokens"], told["seed"]) == (0.5, 7, 3)


@pytest.mark.parametrize(
    "body",
    [
        {"parameters": {"priority": 1}},
        {"parameters": {"temperature": 9}},
        {"input_text": ""},
        {"input_text": 5},
        {"agent": ""},
    ],
)
async def test_what_is_wrong_is_refused_and_leaves_nothing(gateway, acme, body):
    answer = await chat(gateway, acme, **body)

    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert not await in_database(Conversation.objects.exists)


async def test_an_unknown_agent_leaves_no_session(gateway, acme):
    answer = await chat(gateway, acme, agent="nobody")

    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert not await in_database(Conversation.objects.exists)


async def test_anothers_session_is_none(gateway, acme, rival):
    session = (await chat(gateway, acme)).json()["session_id"]
    before = await in_database(Item.objects.count)

    foreign = await chat(gateway, rival, session_id=session)
    missing = await chat(gateway, rival, session_id="conv_none")

    assert (foreign.status, foreign.body) == (404, missing.body)
    assert await in_database(Item.objects.count) == before


@pytest.mark.slow
async def test_a_second_text_does_not_disturb_the_first(gateway, acme, engine):
    session = (await chat(gateway, acme)).json()["session_id"]
    engine.behave(Behaviour(tokens=20, token_seconds=0.1))
    running = asyncio.create_task(chat(gateway, acme, "long", session_id=session))
    while not await in_database(runs_under_way):
        await asyncio.sleep(0.02)

    refused = await chat(gateway, acme, "short", session_id=session)

    assert (refused.status, refused.error["code"]) == (409, "conversation_busy")
    assert (await running).status == 200


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_that_fails_is_told(gateway, acme, engine, stream):
    engine.behave(Behaviour(fault=Fault.DIES_AFTER))

    answer = await chat(gateway, acme, stream=stream)

    if stream:
        assert answer.events[-1] == "[DONE]"
        assert "error" in json.loads(answer.events[-2])
    else:
        assert answer.status == 502


async def test_an_erased_session_is_gone(gateway, acme):
    session = (await chat(gateway, acme)).json()["session_id"]

    await gateway.ask("DELETE", acme, f"/v1/conversations/{session}")

    assert (await chat(gateway, acme, session_id=session)).status == 404
    assert not await in_database(Item.objects.exists)


async def test_errors_name_what_the_caller_wrote(gateway, acme):
    unknown = await gateway.post(
        acme, "/v1/chat", json={"input_text": "x", "session_id": "conv_nothing"}
    )
    nobody = await gateway.post(acme, "/v1/chat", json={"input_text": "x", "agent": "nobody"})
    wrong = await gateway.post(
        acme, "/v1/chat", json={"input_text": "x", "parameters": {"temperature": 9}}
    )

    assert (unknown.status, unknown.error["param"]) == (404, "session_id")
    assert (nobody.status, nobody.error["param"]) == (404, "agent")
    assert (wrong.status, wrong.error["param"]) == (400, "parameters.temperature")


@pytest.mark.parametrize("stream", [False, True])
async def test_so_do_errors_of_engines(gateway, acme, engine, stream):
    refusal = {"message": "Too many.", "type": "BadRequestError", "param": "max_tokens"}
    body = json.dumps({"error": refusal})
    engine.behave(Behaviour(fault=Fault.REFUSES, status=400, error_body=body))

    answer = await chat(gateway, acme, parameters={"max_tokens": 9}, stream=stream)

    error = json.loads(answer.events[-2])["error"] if stream else answer.error
    assert (error["code"], error["param"]) == ("invalid_parameter", "parameters.max_tokens")
