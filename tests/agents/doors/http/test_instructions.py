"""Instructions and presets: what an agent adds, and what the client's own word overrules."""

from dataclasses import replace

import pytest

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.catalog.prompt import apply_agent
from inference.fleet.snapshot import Endpoint
from inference.relay.encoding import encode_chat
from inference.relay.schema import ChatMessage, ChatRequest, parse
from kernel.errors import InvalidParameter

HELLO = ChatMessage(role="user", content="hello")


def agent(instructions="", **parameters) -> PublishedAgent:
    return PublishedAgent(
        slug="helper",
        name="Helper",
        revision=1,
        instructions=instructions,
        route="tiny",
        parameters=parameters,
    )


def asked(**fields) -> ChatRequest:
    return ChatRequest(model="helper", messages=[HELLO], **fields)


def sent(request, *, engine="vllm") -> ChatRequest:
    """What the engine reads."""
    endpoint = Endpoint(id="e", address="http://e", model="m")
    body = encode_chat(request, endpoint, engine=engine)
    return parse(body.replace(b',"timings_per_token":true', b""), ChatRequest)


def test_without_an_agent_nothing_changes():
    request = asked(temperature=0.5)

    assert apply_agent(request, None) is request


def test_the_instructions_come_first():
    messages = apply_agent(asked(), agent("Be brief.")).messages

    assert [(each.role, each.content) for each in messages] == [
        ("system", "Be brief."),
        ("user", "hello"),
    ]


def test_without_instructions_there_is_no_message_more():
    assert apply_agent(asked(), agent()).messages == [HELLO]


def test_the_clients_own_request_is_left_as_it_is():
    request = asked()

    apply_agent(request, agent("Be brief.", top_p=0.5))

    assert request == asked()


def test_presets_stand_in_for_what_the_client_did_not_say():
    request = apply_agent(asked(top_p=0.9), agent(temperature=0.2, top_p=0.1, stop=["x"]))

    assert (request.temperature, request.top_p, request.stop) == (0.2, 0.9, ["x"])


@pytest.mark.parametrize("value", [0, 0.0])
def test_a_zero_is_a_value_of_the_client(value):
    assert apply_agent(asked(temperature=value), agent(temperature=1)).temperature == 0


LIMITS = [
    ({}, {"max_tokens": 4}, 4),
    ({}, {"max_completion_tokens": 4}, 4),
    ({"max_tokens": 9}, {"max_tokens": 4}, 9),
    ({"max_tokens": 9}, {"max_completion_tokens": 4}, 9),
    ({"max_completion_tokens": 9}, {"max_tokens": 4}, 9),
    ({"max_completion_tokens": 9}, {"max_completion_tokens": 4}, 9),
    ({"max_completion_tokens": 9}, {"max_completion_tokens": 4, "max_tokens": 3}, 9),
    ({"max_tokens": 9}, {"max_completion_tokens": 4, "max_tokens": 3}, 9),
    ({}, {}, None),
]


@pytest.mark.parametrize(("client", "preset", "limit"), LIMITS)
def test_the_clients_limit_wins_under_either_name(client, preset, limit):
    assert sent(apply_agent(asked(**client), agent(**preset))).max_tokens == limit


@pytest.mark.parametrize("name", ["model", "messages", "stream", "n", "tools", "priority"])
def test_a_preset_cannot_be_more_than_a_parameter(name):
    assert apply_agent(asked(), agent(**{name: "x"})) == asked()


@pytest.mark.parametrize(("engine", "continuous"), [("vllm", True), ("llamacpp", False)])
def test_usage_is_always_asked_for_in_a_stream(engine, continuous):
    options = sent(asked(stream=True), engine=engine).stream_options

    assert options.include_usage
    assert bool(options.continuous_usage_stats) is continuous


def test_the_engine_is_asked_by_its_own_name_of_the_model():
    request = sent(asked())

    assert (request.model, request.stream_options) == ("m", None)


def with_variables(instructions, **variables):
    return replace(agent(instructions), variables=variables)


def test_variables_are_filled_in_before_the_model_reads_them():
    request = apply_agent(
        asked(variables={"city": "Oslo"}),
        with_variables("In {{city}}, {{tone}}.", city="", tone="?"),
    )

    assert request.messages[0].content == "In Oslo, ?."


def test_what_the_client_writes_is_not_searched_for_variables():
    request = ChatRequest(model="helper", messages=[ChatMessage(role="user", content="{{city}}")])

    told = apply_agent(request, with_variables("{{city}}", city="Riga"))

    assert [each.content for each in told.messages] == ["Riga", "{{city}}"]


@pytest.mark.parametrize("to", [None, agent("Be brief.")])
def test_a_variable_that_is_not_there_is_refused_for_agents_and_routes(to):
    with pytest.raises(InvalidParameter, match="It has none") as caught:
        apply_agent(asked(variables={"city": "Oslo"}), to)

    assert caught.value.param == "variables.city"


@pytest.mark.parametrize("to", [None, agent("Be brief.")])
def test_engines_are_told_neither_users_nor_variables(to):
    request = sent(apply_agent(asked(user="u1", variables={}), to))

    assert (request.user, request.variables) == (None, None)
