"""Agents with tools at `/v1/chat/completions`: run here, told and billed as one answer."""

import json

import pytest

from tests.agents.runs.test_agents_with_tools import employ, give, says_after
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.cast import serve
from tests.fixtures.gateway import ledger

openai = pytest.importorskip("openai", reason="the official client is not installed")

PAINT = {"type": "function", "function": {"name": "paint", "parameters": {"type": "object"}}}
HI = [{"role": "user", "content": "6 * 7?"}]


@pytest.fixture(autouse=True)
def helper(acme, engine, transactional_db):
    """An agent with a calculator."""
    give(acme, "calc", kind="builtin", settings={"function": "calculator"})
    employ(acme, serve(engine.url), tools=["calc"])


@pytest.fixture
async def client(gateway, acme):
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=acme.key, max_retries=0
    ) as client:
        yield client


async def ask(client, **changed):
    return await client.chat.completions.create(model="helper", messages=HI, **changed)


async def test_the_agent_executes_its_tool_and_answers(client, engine):
    engine.behave(says_after(("calc", {"expression": "6 * 7"}), answer="It is 42."))

    answer = await ask(client)

    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("It is 42.", "stop")
    assert choice.message.tool_calls is None
    told = [m["content"] for m in engine.records.last.body["messages"] if m["role"] == "tool"]
    assert told == ["42"]
    rows = await ledger(rows=2)
    assert answer.usage.total_tokens == sum(
        row.prompt_tokens + row.completion_tokens for row in rows
    )
    assert {row.door for row in rows} == {"chat_completions"}


async def test_it_streams_the_text_and_the_usage_of_all_steps(client, engine):
    engine.behave(says_after(("calc", {"expression": "6 * 7"}), answer="It is 42."))

    stream = await ask(client, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]

    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "It is 42."
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    sent = sum(record.usage_written["total_tokens"] for record in engine.records)
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], sent)


@pytest.mark.parametrize("stream", [False, True])
async def test_only_calls_of_the_client_are_tool_calls(gateway, acme, engine, stream):
    engine.behave(says_after(("paint", {"colour": "red"}), ("calc", {"expression": "2"})))

    asked = {"model": "helper", "messages": HI, "tools": [PAINT], "stream": stream}
    answer = await gateway.post(acme, "/v1/chat/completions", json=asked)

    if stream:
        choices = [json.loads(data)["choices"][0] for data in answer.events if data != "[DONE]"]
        calls = [call for each in choices for call in each["delta"].get("tool_calls", ())]
        reason = choices[-1]["finish_reason"]
    else:
        (choice,) = answer.json()["choices"]
        calls, reason = choice["message"]["tool_calls"], choice["finish_reason"]
    assert [(call["function"]["name"], call["type"]) for call in calls] == [("paint", "function")]
    assert reason == "tool_calls"


async def test_an_engine_that_dies_is_an_error_as_with_any_model(client, engine):
    engine.behave(Behaviour(fault=Fault.REFUSES, status=500))

    with pytest.raises(openai.APIStatusError) as failure:
        await ask(client)

    assert failure.value.status_code in {502, 503}


@pytest.mark.parametrize(
    "asked",
    [
        {"n": 2},
        {"logprobs": True},
        {"prompt_logprobs": 0},
        {"logprob_token_ids": [1]},
        {"return_token_ids": True},
        {"return_tokens_as_token_ids": True},
        {"echo": True},
    ],
    ids=str,
)
async def test_what_a_run_cannot_give_is_refused_by_name(gateway, acme, asked):
    body = {"model": "helper", "messages": HI, **asked}

    answer = await gateway.post(acme, "/v1/chat/completions", json=body)

    assert (answer.status, answer.error["param"]) == (400, *asked)
