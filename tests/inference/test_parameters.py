"""Parameters: what tenants may ask for, and a sentence about everything else."""

import json
import math
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.relay.parameters import (
    DEEPEST,
    ChatRequest,
    EmbeddingsRequest,
    Parameters,
    check_parameters,
    parse,
)
from kernel.errors import InvalidJson, InvalidParameter, MissingParameter, PlatformError

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


def test_what_is_not_listed_is_dropped():
    asked = ask(priority=-5, chat_template="x", cache_salt="y", best_of=3, top_p=0.5)

    sent = json.loads(msgspec.json.encode(asked))
    assert sent == {"model": "tiny", "messages": MESSAGES, "top_p": 0.5}


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
        ({"logit_bias": {"1": 101}}, "logit_bias[...]"),
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
    parse(nested(DEEPEST), ChatRequest)

    assert isinstance(refusal(nested(DEEPEST + 1)), InvalidJson)


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

    refusal(b"[" * (DEEPEST + 1) + text)

    # Trying anew from every quote took hours for a body of 4 MiB.
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


@pytest.mark.parametrize("text", ["", [], [[-1]], {"a": 1}, ["x"] * 2049, None])
def test_what_cannot_be_embedded_is_refused(text):
    data = json.dumps({"model": "m", "input": text}).encode()

    assert refusal(data, EmbeddingsRequest).param.startswith("input")
