"""Calls that a client leaves unanswered: the conversation goes on, on engines that check too."""

import pytest

from agents.runtime.context.answered_items import LEFT_OPEN
from tests.fakes.model_server import Behaviour

pytestmark = pytest.mark.usefixtures("tiny")

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False}
CALLS = [
    {"id": "first", "name": "weather", "arguments": {"city": "Oslo"}},
    {"id": "second", "name": "weather", "arguments": {"city": "Rome"}},
]


@pytest.fixture(autouse=True)
def strict(engine):
    """Calls twice, then speaks; refuses what OpenAI refuses."""
    engine.behave(
        Behaviour(script=(CALLS,), wants_outputs=True),
        Behaviour(script=("Very well.",), wants_outputs=True),
    )


async def respond(gateway, member, said, **body):
    asked = {"model": "tiny", "input": said, "tools": [TOOL], **body}
    answer = await gateway.post(member, "/v1/responses", json=asked)
    assert answer.status == 200, answer.body
    assert answer.json()["status"] == "completed"
    return answer.json()


def output(call_id):
    return {"type": "function_call_output", "call_id": call_id, "output": f"{call_id}: rain"}


def outputs(engine):
    """What the engine was told last of each call, in order."""
    messages = engine.records.last.body["messages"]
    return [each["content"] for each in messages if each["role"] == "tool"]


async def test_a_conversation_goes_on(gateway, acme, engine):
    talk = (await gateway.post(acme, "/v1/conversations", json={})).json()["id"]
    await respond(gateway, acme, "How is it there?", conversation=talk)

    await respond(gateway, acme, "Never mind.", conversation=talk)

    assert outputs(engine) == [LEFT_OPEN, LEFT_OPEN]
    page = await gateway.get(acme, f"/v1/conversations/{talk}/items")
    assert "function_call_output" not in {item["type"] for item in page.json()["data"]}


async def test_so_does_a_chain_of_responses(gateway, acme, engine):
    first = await respond(gateway, acme, "How is it there?")

    await respond(gateway, acme, "Never mind.", previous_response_id=first["id"])

    assert outputs(engine) == [LEFT_OPEN, LEFT_OPEN]


async def test_one_of_two_calls_can_be_answered_and_the_other_one_later(gateway, acme, engine):
    first = await respond(gateway, acme, "How is it there?")

    second = await respond(gateway, acme, [output("first")], previous_response_id=first["id"])
    assert outputs(engine) == ["first: rain", LEFT_OPEN]

    await respond(gateway, acme, [output("second")], previous_response_id=second["id"])
    assert outputs(engine) == ["first: rain", LEFT_OPEN, "second: rain"]
    assert engine.records.last.body["messages"][-1]["role"] == "tool"


async def test_outputs_that_come_at_once_are_told_as_they_are(gateway, acme, engine):
    first = await respond(gateway, acme, "How is it there?")
    both = [output("second"), output("first")]

    await respond(gateway, acme, both, previous_response_id=first["id"])

    assert outputs(engine) == ["second: rain", "first: rain"]
