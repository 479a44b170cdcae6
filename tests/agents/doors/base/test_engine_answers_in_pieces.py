"""The same answer cut anywhere is the same answer: no byte of the network has a say in it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.runtime.loop.tool_call_assembler import ToolCallAssembler
from agents.runtime.model.chunks import AnswerReader
from inference.relay.sse import SseBuffer
from kernel.errors import PlatformError
from tests.fixtures.engine_cases import arguments_of, engine_cases

STREAMS = [case for case in engine_cases("sse") if not case.right.get("pending")]


def read(pieces):
    """What a run makes of a stream that arrives in these pieces."""
    stream, reader, assembly = SseBuffer(keep_usage=True), AnswerReader(), ToolCallAssembler()
    said = []
    failure = ""
    try:
        for piece in pieces:
            said.append(reader.read(stream.feed(piece)))
            if stream.finished:
                break
        if not stream.finished:
            said.append(reader.read(stream.close()))
    except PlatformError as error:
        failure = error.code
    said.append(reader.rest())
    for each in said:
        for piece in each.calls:
            assembly.add(piece)
    usage = stream.usage()
    return {
        "text": "".join(each.text for each in said),
        "reasoning": "".join(each.reasoning for each in said),
        "refusal": "".join(each.refusal for each in said),
        "finish": next((each.finish_reason for each in reversed(said) if each.finish_reason), None),
        "calls": [[call.name, arguments_of(call.arguments)] for call in assembly.calls(taken=())],
        "usage": [usage.prompt_tokens, usage.completion_tokens] if usage else None,
        "failure": failure,
    }


def right_of(case):
    right = case.right
    return {
        **dict.fromkeys(("text", "reasoning", "refusal"), ""),
        "calls": [],
        "finish": "stop",
        "usage": None,
        "failure": "",
        **{name: right[name] for name in right if name in read([])},
    }


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
def test_an_answer_is_read_as_the_case_says(case):
    found = read([case.bytes])

    if case.failures:
        assert found["failure"] in case.failures
        assert found["text"] == case.right.get("text", "")
    else:
        assert found == right_of(case)


@pytest.mark.parametrize("case", STREAMS, ids=lambda case: case.name)
def test_one_byte_at_a_time_it_is_the_same(case):
    whole = read([case.bytes])
    bytes_alone = [bytes([byte]) for byte in case.bytes]

    assert told(case, read(bytes_alone)) == told(case, whole)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STREAMS), st.data())
def test_cut_anywhere_it_is_the_same(case, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(case.bytes) - 1), max_size=8)))
    pieces = [
        case.bytes[start:end]
        for start, end in zip([0, *cuts], [*cuts, len(case.bytes)], strict=True)
    ]

    assert told(case, read(pieces)) == told(case, read([case.bytes]))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STREAMS), st.data())
def test_an_answer_that_is_cut_off_is_never_more_than_a_part(case, data):
    """And it is a failure unless the engine had said why it ended."""
    end = data.draw(st.integers(0, len(case.bytes) - 1))
    found, whole = read([case.bytes[:end]]), read([case.bytes])

    assert whole["text"].startswith(found["text"].removesuffix("\ufffd"))
    assert whole["reasoning"].startswith(found["reasoning"].removesuffix("\ufffd"))
    if not found["failure"] and b"[DONE]" not in case.bytes[:end]:
        assert found["finish"]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([case for case in STREAMS if b"\r" not in case.bytes]), st.data())
def test_what_is_no_part_of_an_answer_may_stand_anywhere(case, data):
    """Comments, empty chunks and events without data, between any two events."""
    *events, rest = case.bytes.split(b"\n\n")
    noise = st.sampled_from([b": ping", b'data: {"choices": []}', b"data:", b"id: 7"])
    for place in sorted(data.draw(st.sets(st.integers(0, len(events)), max_size=4)), reverse=True):
        events.insert(place, data.draw(noise))

    noisy = b"\n\n".join([*events, rest])

    assert told(case, read([noisy])) == told(case, read([case.bytes]))


def told(case, found):
    """A failure's words before it depend on what had been sent on, as far as that was right."""
    return bool(found["failure"]) if case.failures else found
