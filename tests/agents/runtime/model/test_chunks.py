"""What chunks say, in the forms in which engines have been seen to write them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.loop.tool_call_assembler import ToolCallAssembler
from agents.runtime.model.chunks import AnswerReader
from inference.errors import UpstreamBroken


def event(*choices, **members):
    return b"data: " + json.dumps({"choices": list(choices), **members}).encode() + b"\n\n"


def delta(index=0, **members):
    return {"index": index, "delta": members, "finish_reason": None}


def read(*events):
    """All that is read, one `Said` for each block and one for the rest."""
    reader = AnswerReader()
    return [*map(reader.read, events), reader.rest()]


def text(*events):
    return "".join(said.text for said in read(*events))


def calls(*events):
    assembly = ToolCallAssembler()
    for said in read(*events):
        for piece in said.calls:
            assembly.add(piece)
    return [(call.name, call.arguments) for call in assembly.calls(taken=())]


def called(*pieces):
    return [delta(tool_calls=[piece]) for piece in pieces]


@pytest.mark.parametrize(
    "choice",
    [
        None,
        {},
        {"delta": None},
        {"delta": {}},
        {"delta": "text"},
        {"delta": {"role": "assistant", "content": None}},
        {"delta": {"content": None, "tool_calls": None, "function_call": None, "refusal": None}},
        {"delta": {"content": "", "reasoning": "", "tool_calls": []}},
        {"delta": {"content": [], "tool_calls": [None, 5], "reasoning": {}}},
        {"delta": {"tool_calls": [{"function": None}]}, "finish_reason": 5},
        {"index": 1, "delta": {"content": "B"}},
    ],
    ids=json.dumps,
)
def test_what_says_nothing_ends_nothing(choice):
    said = read(event(choice), event(delta(content="A")), event({"finish_reason": "stop"}))

    assert "".join(each.text for each in said) == "A"
    assert [each.finish_reason for each in said] == [None, None, "stop", None]
    assert calls(event(choice)) == []


@pytest.mark.parametrize("choices", [None, [], {}, "", 0, False], ids=repr)
def test_a_chunk_without_choices_says_nothing(choices):
    block = b"data: " + json.dumps({"choices": choices, "usage": {}}).encode() + b"\n\n"

    assert text(block) == ""


@pytest.mark.parametrize("data", [b"[]", b"5", b"null", b"{", b'{"choices":[', b"<html>"])
def test_what_is_no_chunk_breaks_the_answer(data):
    with pytest.raises(UpstreamBroken):
        read(b"data: " + data + b"\n\n")


def test_only_the_first_of_several_choices_is_read():
    """With n = 2 they come interleaved, and in any order."""
    events = [
        event(delta(1, content="B0"), delta(0, content="A0")),
        event(delta(1, content="B1")),
        event(delta(0, content="A1")),
        event({"index": 1, "delta": {}, "finish_reason": "length"}),
    ]

    assert text(*events) == "A0A1"
    assert {said.finish_reason for said in read(*events)} == {None}


@pytest.mark.parametrize("first", ["reasoning", "reasoning_content"])
def test_what_a_model_thinks_is_no_text(first):
    (said, _) = read(event(delta(**{first: "Hm"}), delta(content="42")))

    assert (said.reasoning, said.text) == ("Hm", "42")


def test_reasoning_under_two_names_is_read_once():
    (said, _) = read(event(delta(reasoning="Hm", reasoning_content="Hm")))

    assert said.reasoning == "Hm"


def test_parts_of_a_content_are_texts_and_thoughts():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
        {"type": "text", "text": "4"},
        "2",
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "refusal", "refusal": "No"},
    ]
    (said, _) = read(event(delta(content=parts)))

    assert (said.reasoning, said.text, said.refusal) == ("Hm", "42", "No")


def test_a_refusal_is_no_text():
    (said, _) = read(event(delta(content=None, refusal="I cannot.")))

    assert (said.text, said.refusal) == ("", "I cannot.")


@pytest.mark.parametrize("member", ["content", "reasoning", "refusal"])
def test_halves_of_a_surrogate_pair_are_one_character(member):
    name = {"content": "text"}.get(member, member)
    first, second = event(delta(**{member: "Hi \ud83d"})), event(delta(**{member: "\ude80 there"}))

    assert [getattr(said, name) for said in read(first, second)] == ["Hi ", "🚀 there", ""]
    assert [getattr(said, name) for said in read(first + second)] == ["Hi 🚀 there", ""]


def test_a_half_waits_over_chunks_that_say_nothing():
    events = [event(delta(content=each)) for each in ("\ud83d", "", "\ude80")]

    assert text(events[0], event(), events[1], b": ping\n\n", events[2]) == "🚀"


@pytest.mark.parametrize(
    ("said", "right"),
    [
        (["a\ud83d", "b"], "a�b"),
        (["c\ude80", "b"], "c�b"),
        (["\ud83d", "\ud83d", "\ude80"], "�🚀"),
        (["\ude80", "\ud83d"], "��"),
        (["a\ud83d"], "a�"),
        (["\x00"], "�"),
    ],
    ids=repr,
)
def test_a_half_alone_is_replaced(said, right):
    assert text(*(event(delta(content=each)) for each in said)) == right


def test_bytes_that_are_no_utf_8_are_replaced():
    block = b'data: {"choices":[{"delta":{"content":"bad \xff\xfe"}}]}\n\n'

    assert text(block) == "bad ��"


def test_numbers_that_json_does_not_have_are_read_over():
    block = b'data: {"choices":[{"delta":{"content":"a"},"logprobs":{"x":NaN}}]}\n\n'

    assert text(block) == "a"


def test_the_old_form_of_a_call_is_a_call():
    pieces = ({"name": "f"}, {"arguments": '{"x"'}, {"name": None, "arguments": ":1}"})

    assert calls(*(event(delta(function_call=piece)) for piece in pieces)) == [("f", '{"x":1}')]


@pytest.mark.parametrize(
    ("pieces", "right"),
    [
        ([{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}], [("f", '{"x":1}')]),
        (
            [{"id": "a", "function": {"name": "f", "arguments": {}}},
             {"index": 0, "function": {"arguments": '{"x":1}'}}],
            [("f", '{"x":1}')],
        ),
        ([{"id": "a", "function": {"name": "f", "arguments": None}}], [("f", "")]),
        ([{"id": 7, "index": "0", "function": {"name": "f", "arguments": "{}"}}], [("f", "{}")]),
        (
            [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}},
             {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}],
            [("f", "{}"), ("g", "{}")],
        ),
        (
            [{"id": "a", "function": {"name": "f", "arguments": '{"x":'}},
             {"id": "b", "function": {"name": "g", "arguments": '{"y":'}},
             {"id": "a", "function": {"arguments": "1}"}},
             {"id": "b", "function": {"arguments": "2}"}}],
            [("f", '{"x":1}'), ("g", '{"y":2}')],
        ),
        (
            [{"index": 0, "id": "a", "function": {"name": "get_"}},
             {"index": 0, "function": {"name": "time"}},
             {"index": 0, "function": {"name": "", "arguments": "{}"}}],
            [("get_time", "{}")],
        ),
        (
            [{"index": 0, "id": "a", "function": {"name": "f\ud83d", "arguments": '{"x":"\ud83d'}},
             {"index": 0, "function": {"arguments": '\ude80\ud83d"}'}}],
            [("f�", '{"x":"🚀�"}')],
        ),
        ([{"index": 0, "function": {"name": "", "arguments": ""}}], []),
    ],
    ids=[
        "arguments as an object",
        "an empty object first",
        "arguments null",
        "numbers as texts",
        "calls out of order",
        "interleaved by id",
        "a name in pieces",
        "halves of a pair",
        "nothing",
    ],
)  # fmt: skip
def test_a_call_is_read_however_it_is_written(pieces, right):
    assert calls(*map(event, called(*pieces))) == right


@given(st.text(), st.data())
def test_a_text_split_anywhere_comes_together(said, data):
    """Even inside of characters: engines cut where a token ends."""
    units = said.replace("\x00", "").encode("utf-16-le")
    places = st.integers(0, len(units) // 2)
    cuts = sorted(2 * cut for cut in data.draw(st.lists(places, max_size=6)))
    pieces = [
        units[start:end].decode("utf-16-le", "surrogatepass")
        for start, end in zip([0, *cuts], [*cuts, len(units)], strict=True)
    ]
    blocks = [event(delta(content=piece)) for piece in pieces]
    if data.draw(st.booleans()):
        blocks = [b"".join(blocks)]

    assert text(*blocks) == said.replace("\x00", "")
