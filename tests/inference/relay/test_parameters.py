"""Parameters of requests: the allow-list, and the message for every other one."""

import json
import math
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.fleet.snapshot import Endpoint
from inference.relay.encoding import encode_embeddings
from inference.relay.schema import (
    MAX_DEPTH,
    MAX_SEARCHED_BYTES,
    ChatRequest,
    EmbeddingsRequest,
    Parameters,
    check_parameters,
    ensure_consistent,
    ensure_one_input,
    parse,
)
from kernel.errors import (
    InvalidJson,
    InvalidParameter,
    MissingParameter,
    PlatformError,
    UnsupportedParameter,
)

ENDPOINT = Endpoint(id="e", address="http://e", model="m")
MESSAGES = [{"role": "user", "content": "hi"}]
FROM_HELL = [
    *("-1", "0", "-0", "1", "1.0", "1e9", "-1e9", "1e400", "-1e400", "1e-400", "NaN", "Infinity"),
    *(str(2**31), str(2**63), str(-(2**63) - 1), str(2**64), "9" * 400, "0x10", "1_000", "01"),
    *('"NaN"', '"1e9"', '"1"', '""', "true", "false", "[]", "[1]", "{}", "null"),
]
NO_JSON = {"NaN", "Infinity", "0x10", "1_000", "01"}
BOUNDS = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_tokens": (1, 10_000_000),
    "max_completion_tokens": (1, 10_000_000),
    "seed": (-(2**63), 2**63 - 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "n": (1, 8),
    "top_logprobs": (0, 20),
}


def body(**fields) -> bytes:
    return json.dumps({"model": "tiny", "messages": MESSAGES, **fields}).encode()


def ask(**fields) -> ChatRequest:
    return parse(body(**fields), ChatRequest)


def refusal(data: bytes, request=ChatRequest) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        parse(data, request)
    return caught.value


@given(st.sampled_from(list(BOUNDS)), st.sampled_from(FROM_HELL))
def test_a_number_from_hell_is_in_range_or_refused_by_name(name, number):
    least, most = BOUNDS[name]
    data = body().replace(b"{", b'{"%b": %b, ' % (name.encode(), number.encode()), 1)

    if number in NO_JSON:
        assert isinstance(refusal(data), InvalidJson | InvalidParameter)
        return
    try:
        value = getattr(parse(data, ChatRequest), name)
    except InvalidParameter as error:
        named = error.param
    else:
        named = name
        assert value is None or (type(value) in {int, float} and least <= value <= most)
    assert named == name


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 10**400, True])
@pytest.mark.parametrize("name", ["temperature", "max_tokens", "presence_penalty"])
def test_a_preset_from_hell_is_refused(name, number):
    with pytest.raises(InvalidParameter) as caught:
        check_parameters({name: number})

    assert caught.value.param == name


REFUSED = [
    *("priority", "chat_template", "cache_salt", "kv_transfer_params", "ec_transfer_params"),
    *("vllm_xargs", "logits_processors", "mm_processor_kwargs", "media_io_kwargs", "request_id"),
    *("use_beam_search", "best_of", "functions", "function_call", "audio", "web_search_options"),
    *("not_a_parameter", "temperatur"),
]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_listed_is_refused_by_its_name(name):
    error = refusal(body(**{name: {}}))

    assert (type(error), error.param) == (UnsupportedParameter, name)
    assert f"'{name}'" in error.message


@pytest.mark.parametrize("name", [*REFUSED, "top_p", "tools", "stream", "metadata"])
def test_null_is_absent(name):
    assert ask(**{name: None}) == ask()


def test_a_note_is_no_parameter():
    assert ask(_door="POST /v1/chat/completions") == ask()


MESSAGE = {"role": "assistant", "content": "Hello"}
NULLS = ("name", "tool_calls", "tool_call_id", "refusal", "function_call", "audio", "annotations")


@pytest.mark.parametrize("name", [*NULLS, "reasoning", "reasoning_content", "whatever"])
def test_what_an_engine_has_answered_can_be_sent_back(name):
    assert ask(messages=[{**MESSAGE, name: None}]) == ask(messages=[MESSAGE])


@pytest.mark.parametrize("extra", [{"annotations": []}, {"matched_stop": 5}, {"stop": "x"}])
def test_what_no_model_reads_of_an_answer_is_not_passed_on(extra):
    assert ask(messages=[{**MESSAGE, **extra}]) == ask(messages=[MESSAGE])


CALLS = {
    "no arguments": ({"id": "c", "function": {"name": "f", "arguments": None}}, "{}"),
    "none at all": ({"id": "c", "function": {"name": "f"}}, "{}"),
    "an object": ({"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}, '{"a":1}'),
    "no id": ({"id": None, "index": 0, "function": {"name": "f", "arguments": "{}"}}, "{}"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call_can_be_sent_back_as_it_was_answered(case):
    call, arguments = CALLS[case]

    (message,) = ask(messages=[{"role": "assistant", "tool_calls": [call]}]).messages
    assert message.tool_calls[0].function.arguments == arguments
    assert message.tool_calls[0].id


LOST = {
    "audio": {"role": "assistant", "audio": {"id": "a"}},
    "function_call": {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
}


@pytest.mark.parametrize("name", LOST)
def test_words_that_no_engine_would_get_are_refused(name):
    with pytest.raises(UnsupportedParameter) as caught:
        ensure_consistent(ask(messages=[*MESSAGES, LOST[name]]))

    assert caught.value.param == f"messages[1].{name}"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content", "refusal"])
def test_what_a_model_has_thought_or_refused_is_kept_in_the_history(name):
    (message,) = ask(messages=[{**MESSAGE, name: "hm"}]).messages

    assert getattr(message, name) == "hm"


INNER = [
    ({"tools": [{"type": None, "function": {"name": "f"}}]}, ("tools", 0)),
    ({"tools": [{"function": {"name": "f", "description": None}}]}, ("tools", 0)),
    ({"tools": [{"function": {"name": "f", "parameters": None, "strict": None}}]}, ("tools", 0)),
]


@pytest.mark.parametrize(("fields", "place"), INNER)
def test_null_is_absent_in_what_stands_inside(fields, place):
    name, index = place

    asked = json.loads(msgspec.json.encode(ask(**fields)))[name][index]
    assert asked == {"type": "function", "function": {"name": "f"}}


def test_a_null_in_a_schema_is_a_value():
    schema = {"type": "object", "properties": {"x": {"enum": ["a", None], "default": None}}}
    tool = {"type": None, "function": {"name": "f", "parameters": schema}}

    assert ask(tools=[tool]).tools[0].function.parameters == schema


def test_a_null_in_the_arguments_of_a_call_is_a_value():
    call = {"type": None, "function": {"name": "f", "arguments": {"x": None}}}

    (message,) = ask(messages=[{"role": "assistant", "tool_calls": [call]}]).messages
    assert json.loads(message.tool_calls[0].function.arguments) == {"x": None}


@pytest.mark.parametrize("options", [{"include_usage": None}, {"continuous_usage_stats": None}])
def test_null_options_of_a_stream_are_absent(options):
    assert not ask(stream=True, stream_options=options).wants_usage


def part(**fields):
    return [{"role": "user", "content": [fields]}]


PNG = "data:image/png;base64,AAAA"
PARTS = {
    "an image without detail": part(type="image_url", image_url={"url": PNG, "detail": None}),
    "an image as it is": part(type="image_url", image_url={"url": PNG, "detail": "original"}),
    "sound": part(type="input_audio", input_audio={"data": "AAAA", "format": "wav"}),
    "sound by address": part(type="audio_url", audio_url={"url": "data:audio/wav;base64,AA"}),
    "a film": part(type="video_url", video_url={"url": "data:video/mp4;base64,AA"}),
    "a file": part(type="file", file={"file_data": "data:application/pdf;base64,AA"}),
    "a named file": part(type="file", file={"file_data": "data:text/x,", "filename": "a.txt"}),
    "a refusal": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}],
}


@pytest.mark.parametrize("case", PARTS)
def test_parts_of_a_message_are_passed_on(case):
    sent = json.loads(msgspec.json.encode(ask(messages=PARTS[case])))["messages"]
    (given,) = PARTS[case][0]["content"]

    assert sent[0]["content"][0] == json.loads(json.dumps(given), object_hook=without_null_members)


def without_null_members(value):
    return {name: inner for name, inner in value.items() if inner is not None}


UNTYPED = {
    "an image without a type": (part(image_url={"url": PNG}), "image_url"),
    "an image as a text": (part(type="image_url", image_url=PNG), "image_url"),
    "both": (part(image_url=PNG), "image_url"),
    "a text without a type": (part(text="hi"), "text"),
    "the type of responses": (part(type="input_text", text="hi"), "text"),
    "an image of responses": (part(type="input_image", image_url=PNG), "image_url"),
    "a bare text": ([{"role": "user", "content": ["hi"]}], "text"),
}


@pytest.mark.parametrize("case", UNTYPED)
def test_parts_are_taken_as_vllm_takes_them(case):
    messages, kind = UNTYPED[case]

    sent = json.loads(msgspec.json.encode(ask(messages=messages)))["messages"]
    assert sent[0]["content"][0]["type"] == kind
    assert sent[0]["content"][0].get("image_url", {"url": PNG}) == {"url": PNG}


ADDRESSES = {
    "image_url": ({"url": "https://example.com/a.png"}, "Images are sent inline"),
    "audio_url": ({"url": "http://10.0.0.1/a.wav"}, "Audio is sent inline"),
    "video_url": ({"url": "file:///etc/passwd"}, "Videos are sent inline"),
    "file": ({"file_data": "https://example.com/a.pdf"}, "Files are sent inline"),
}


@pytest.mark.parametrize("kind", ADDRESSES)
def test_no_address_reaches_an_engine_and_the_refusal_says_why(kind):
    value, sentence = ADDRESSES[kind]

    error = refusal(body(messages=part(type=kind, **{kind: value})))

    assert sentence in error.message
    assert "regex" not in error.message
    assert error.param.startswith(f"messages[0].content[0].{kind}")


@pytest.mark.parametrize("stream", [None, False])
def test_options_of_a_stream_are_for_streams(stream):
    with pytest.raises(InvalidParameter) as caught:
        ensure_consistent(ask(stream=stream, stream_options={"include_usage": True}))

    assert caught.value.param == "stream_options"
    ensure_consistent(ask(stream=True, stream_options={"include_usage": True}))
    ensure_consistent(ask(stream=stream, stream_options=None))


@pytest.mark.parametrize("wrong", range(0, 200, 37))
def test_the_wrong_one_of_many_members_is_named(wrong):
    bias = {str(number): 101 if number == wrong else 0 for number in range(200)}

    assert refusal(body(logit_bias=bias)).param == f"logit_bias.{wrong}"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"logit_bias": {"1": 0, "2": 101}}, "logit_bias"),
        ({"metadata": None, "top_p": 2}, "top_p"),
    ],
)
def test_what_is_wrong_in_a_large_request_is_named(fields, param):
    large = [{"role": "user", "content": "x" * MAX_SEARCHED_BYTES}]

    assert refusal(body(messages=large, **fields)).param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"variables": {"a": "b", "c": 5}}, "variables.c"),
        ({"variables": {"ok": "b", "l" * 65: "x"}}, "variables." + "l" * 65),
    ],
)
def test_the_place_of_a_member_is_written_as_clients_know_it(fields, param):
    assert refusal(body(**fields)).param == param


def test_messages_can_be_embedded():
    data = json.dumps({"model": "m", "messages": MESSAGES}).encode()

    asked = parse(data, EmbeddingsRequest)
    ensure_one_input(asked)
    assert json.loads(encode_embeddings(asked, ENDPOINT, engine="vllm"))["messages"] == MESSAGES


@pytest.mark.parametrize("fields", [{}, {"input": None}, {"input": "x", "messages": MESSAGES}])
def test_there_is_one_thing_to_embed(fields):
    with pytest.raises((InvalidParameter, MissingParameter)):
        ensure_one_input(parse(json.dumps({"model": "m", **fields}).encode(), EmbeddingsRequest))


def test_an_unknown_parameter_of_embeddings_is_refused_by_its_name():
    data = json.dumps({"model": "m", "input": "x", "priority": 1}).encode()

    assert refusal(data, EmbeddingsRequest).param == "priority"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"messages": [*MESSAGES, {"role": "user", "content": 5}]}, "messages[1].content"),
        ({"messages": MESSAGES * 1001}, "messages"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": ["x", ""]}, "stop[1]"),
        ({"n": 9}, "n"),
        ({"tools": [{"function": {"name": "f"}}] * 129}, "tools"),
        ({"tools": [{"function": {"name": ""}}]}, "tools[0].function.name"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1"),
        ({"model": ""}, "model"),
        ({"stream": "yes"}, "stream"),
    ],
)
def test_the_refused_parameter_is_named(fields, param):
    error = refusal(body(**fields))

    assert (type(error), error.param) == (InvalidParameter, param)
    assert error.message.startswith(param)


@pytest.mark.parametrize(
    ("data", "param"),
    [
        (b'{"messages": [{"role": "user"}]}', "model"),
        (b'{"model": "m"}', "messages"),
        (b'{"model": "m", "messages": [{}]}', "messages[0].role"),
    ],
)
def test_the_missing_parameter_is_named(data, param):
    error = refusal(data)

    assert (type(error), error.param) == (MissingParameter, param)
    assert f"'{param}'" in error.message


@pytest.mark.parametrize("data", [b"", b"{", b"nope", b"{'a': 1}", b"\xff", b'{"a": "\\ud800"}'])
def test_what_is_no_json_is_called_that(data):
    assert isinstance(refusal(data), InvalidJson)


@pytest.mark.parametrize("data", [b"[]", b"1", b"null", b'"text"'])
def test_what_is_no_object_is_refused(data):
    assert isinstance(refusal(data), InvalidParameter)


@given(st.binary(max_size=200))
def test_no_bytes_are_a_bug(data):
    refusal(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(ChatRequest.__struct_fields__), JSON, max_size=4)


@given(FIELDS)
def test_no_object_is_a_bug(fields):
    try:
        asked = parse(body(**fields), ChatRequest)
    except (InvalidParameter, MissingParameter, InvalidJson):
        return

    assert parse(msgspec.json.encode(asked), ChatRequest) == asked


def nested(depth: int) -> bytes:
    # The body itself is one level, response_format another.
    inner = b'{"a":' * (depth - 2) + b"1" + b"}" * (depth - 2)
    return body().replace(b"{", b'{"response_format": {"x": %b}, ' % inner, 1)


def test_nesting_is_taken_up_to_its_limit():
    parse(nested(MAX_DEPTH), ChatRequest)

    assert isinstance(refusal(nested(MAX_DEPTH + 1)), InvalidJson)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"messages":['])
def test_very_deep_nesting_is_refused(opening):
    error = refusal(opening * 100_000)

    assert "nested" in error.message


def test_brackets_in_a_text_are_not_nesting():
    asked = ask(messages=[{"role": "user", "content": '[{"\\' * 1000}])

    assert asked.messages[0].content.count("[") == 1000


def test_many_flat_objects_are_not_nesting():
    assert len(ask(messages=MESSAGES * 1000).messages) == 1000


@pytest.mark.parametrize("text", [b'"' + b'\\"' * 200_000, b'"' * 200_001, b'"\\' * 200_000])
def test_a_text_without_an_end_takes_time_in_proportion(text):
    started = time.process_time()

    refusal(b"[" * (MAX_DEPTH + 1) + text)

    # Backtracking at every quote took hours for a body of 4 MiB.
    assert time.process_time() - started < 2


def test_images_come_with_the_request():
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert ask(messages=[{"role": "user", "content": [part]}])

    part["image_url"]["url"] = "http://169.254.169.254/latest"
    error = refusal(body(messages=[{"role": "user", "content": [part]}]))

    assert error.param == "messages[0].content[0].image_url.url"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (None, False),
        ({}, False),
        ({"include_usage": True}, True),
        ({"include_usage": False}, False),
    ],
)
def test_usage_is_wanted_when_it_is_asked_for(options, wanted):
    assert ask(stream_options=options).wants_usage is wanted


@pytest.mark.parametrize("presets", [{}, {"temperature": 0.2, "stop": ["a"], "max_tokens": 5}])
def test_presets_within_their_ranges_are_taken(presets):
    assert isinstance(check_parameters(presets), Parameters)


@pytest.mark.parametrize("presets", [[], "x", None, 5])
def test_presets_are_an_object(presets):
    with pytest.raises(InvalidParameter, match="JSON object"):
        check_parameters(presets)


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(InvalidParameter, match=r"Not a parameter: heat, n\. These are: .*top_p"):
        check_parameters({"n": 2, "heat": 1})


@pytest.mark.parametrize("text", ["x", ["x", "y"], [[1, 2], [3]], [1, 2]])
def test_what_can_be_embedded_is_taken(text):
    assert parse(json.dumps({"model": "m", "input": text}).encode(), EmbeddingsRequest)


@pytest.mark.parametrize("text", ["", [], [[-1]], {"a": 1}, ["x"] * 2049])
def test_what_cannot_be_embedded_is_refused(text):
    data = json.dumps({"model": "m", "input": text}).encode()

    assert refusal(data, EmbeddingsRequest).param.startswith("input")
