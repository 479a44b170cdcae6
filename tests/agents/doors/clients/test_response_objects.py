"""What a response says of itself is what was done: with the official client, and in its types."""

import json

import pytest
from pydantic import TypeAdapter

from tests.agents.runs.test_agents_with_tools import employ, give, says_after
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import serve
from tests.fixtures.runs.runs import respond

openai = pytest.importorskip("openai", reason="the official client is not installed")
from openai.types.responses import Response, ResponseStreamEvent  # noqa: E402 - may be missing

FUNCTION = {"type": "function", "name": "f"}
WHOLE_FUNCTION = {**FUNCTION, "description": None, "parameters": None, "strict": None}
CODEX = {
    "instructions": "You are Codex.",
    "input": [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "x"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
    ],
    "tools": [
        {**FUNCTION, "name": "exec_command", "strict": False, "parameters": {"type": "object"}},
        {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}},
        {"type": "namespace", "name": "multi_agent_v1", "tools": [FUNCTION]},
        {"type": "web_search", "external_web_access": False},
        {"type": "local_shell"},
    ],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "medium", "summary": "auto"},
    "store": False,
    "stream": True,
    "include": ["reasoning.encrypted_content"],
    "prompt_cache_key": "thread-1",
    "text": {"verbosity": "medium"},
    "client_metadata": {"x": "y"},
}


@pytest.fixture
async def client(gateway, acme):
    async with openai.AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key=acme.key, max_retries=0
    ) as client:
        yield client


@pytest.mark.usefixtures("tiny")
async def test_what_is_asked_for_is_passed_on_and_repeated(gateway, acme, engine):
    asked = {
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "max_tool_calls": 3,
        "safety_identifier": "u1",
        "prompt_cache_key": "k1",
        "user": "u2",
        "top_logprobs": 0,
    }

    more = {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}, "seed": 7}
    body = {"model": "tiny", "input": "x", "tools": [FUNCTION], **asked, **more}
    answer = await gateway.post(acme, "/v1/responses", json=body)
    body = answer.json()
    assert answer.status == 200, body

    assert {name: body[name] for name in asked} == asked
    assert body["tools"] == [WHOLE_FUNCTION]
    assert body["usage"]["input_tokens_details"]["cache_write_tokens"] == 0
    sent = engine.records.last.body
    assert (sent["presence_penalty"], sent["frequency_penalty"]) == (0.5, -0.5)
    assert (sent["reasoning_effort"], sent["verbosity"], sent["seed"]) == ("low", "low", 7)
    assert (body["reasoning"]["effort"], body["text"]["verbosity"]) == ("low", "low")
    TypeAdapter(Response).validate_python(body, strict=False)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include[0]"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"echo": True}, "echo"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input"),
    ],
)
async def test_what_is_not_done_is_refused_by_its_name(gateway, acme, asked, param):
    answer = await respond(gateway, acme, **asked)
    assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.usefixtures("tiny")
async def test_the_first_request_of_codex_passes_and_says_which_tools_are_in_force(
    gateway, acme, engine
):
    answer = await gateway.post(acme, "/v1/responses", json={"model": "tiny", **CODEX})

    assert answer.status == 200
    last = [event for event in answer.events if event != "[DONE]"][-1]
    assert '"type":"response.completed"' in last
    assert [tool["function"]["name"] for tool in engine.records.last.body["tools"]] == [
        "exec_command"
    ]
    assert '"apply_patch"' not in last


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("mode", ["auto", "required"])
async def test_only_allowed_tools_reach_the_model(client, engine, mode):
    choice = {"type": "allowed_tools", "mode": mode, "tools": [FUNCTION]}

    response = await client.responses.create(
        model="tiny", input="x", tools=[FUNCTION, {**FUNCTION, "name": "g"}], tool_choice=choice
    )

    sent = engine.records.last.body
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["f"]
    assert sent["tool_choice"] == mode
    assert response.tool_choice.type == "allowed_tools"


@pytest.fixture
def helper(acme, engine, transactional_db):
    """An agent with a calculator."""
    give(acme, "calc", kind="builtin", settings={"function": "calculator"})
    employ(acme, serve(engine.url), tools=["calc"])


@pytest.mark.usefixtures("helper")
async def test_a_run_with_tools_fits_the_clients_types_and_its_output_can_be_sent_back(
    client, gateway, acme, engine
):
    engine.behave(says_after(("calc", {"expression": "6 * 7"}), answer="It is 42."))
    asked = {"model": "helper", "input": "6 * 7?", "stream": True}
    answer = await gateway.post(acme, "/v1/responses", json=asked)

    events = [json.loads(data) for data in answer.events if data != "[DONE]"]
    for event in events:
        TypeAdapter(ResponseStreamEvent).validate_python(event)
    body = events[-1]["response"]
    response = TypeAdapter(Response).validate_python(body)
    call, message = response.output
    assert (call.type, call.name, call.output) == ("mcp_call", "calc", "42")
    assert (call.server_label, call.error, call.status) == ("helper", None, "completed")
    assert message.content[0].text == "It is 42."
    said = [{"role": "user", "content": "6 * 7?"}, *body["output"]]
    again = await client.responses.create(
        model="helper", input=[*said, {"role": "user", "content": "Sure?"}], store=False
    )
    assert again.status == "completed"
    roles = [message["role"] for message in engine.records.last.body["messages"]]
    assert roles[:5] == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.usefixtures("tiny")
async def test_items_that_were_stored_can_be_referred_to(gateway, acme, rival, engine):
    engine.behave(Behaviour(script=("One.",)), Behaviour(script=("Two.",)))
    first = (await respond(gateway, acme)).json()
    reference = {"type": "item_reference", "id": first["output"][0]["id"]}
    said = [{"role": "user", "content": "x"}, reference, {"role": "user", "content": "y"}]

    again = await respond(gateway, acme, input=said)

    assert again.status == 200
    sent = engine.records.last.body["messages"]
    assert [message["content"] for message in sent] == ["x", "One.", "y"]
    foreign = await respond(gateway, rival, input=said)
    none = await respond(gateway, acme, input=[{"type": "item_reference", "id": "msg_nothing"}])
    assert (foreign.status, none.status) == (404, 404)
    assert foreign.error["code"] == none.error["code"] == "not_found"
