"""Event streams are forwarded completely, however they are split into packets."""

import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import UpstreamBroken
from inference.fleet.snapshot import Endpoint
from inference.relay.encoding import with_client_model_name
from inference.relay.sse import (
    BYTE_ORDER_MARK,
    MAX_EVENT_BYTES,
    MAX_UNCLEAR_EVENT_BYTES,
    SseBuffer,
)
from tenants.admission.usage.records import Usage

DONE = b"data: [DONE]\n\n"


def event(value) -> bytes:
    return b"data: %b\n\n" % json.dumps(value, separators=(",", ":")).encode()


def chunk(text="x", **fields) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}], **fields})


def usage_chunk(prompt=3, completion=2) -> bytes:
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    return event({"choices": [], "usage": counts})


STREAM = b": hello\n\n" + chunk("a") + chunk("ü𝄞") + usage_chunk() + DONE
texts = st.lists(st.text(max_size=20), max_size=6)
cuts = st.lists(st.integers(0, 2000), max_size=12)


def pieces(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(ends)]


def relayed(data: bytes, places: list[int], **options) -> tuple[bytes, SseBuffer]:
    stream = SseBuffer(**{"keep_usage": True, **options})
    out = b"".join(stream.feed(piece) for piece in pieces(data, places))
    if stream.failure is not None:
        raise stream.failure
    return out, stream


@given(texts, cuts)
def test_any_cut_gives_the_same_bytes(said, places):
    data = b"".join(map(chunk, said)) + usage_chunk() + DONE

    out, stream = relayed(data, places)

    assert out == data
    assert stream.finished
    assert stream.usage() == Usage(prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
@given(said=texts, places=cuts)
def test_any_cut_of_lines_that_end_as_elsewhere_is_relayed(line_end, said, places):
    data = b"".join(map(chunk, said)) + usage_chunk() + DONE

    out, stream = relayed(data.replace(b"\n", line_end), places)
    out += b"" if stream.finished else stream.close()

    assert out == data
    assert stream.finished


@given(texts, cuts)
def test_without_the_wish_for_it_the_usage_chunk_is_dropped_wherever_the_cut_is(said, places):
    data = b"".join(map(chunk, said))

    out, stream = relayed(data + usage_chunk() + DONE, places, keep_usage=False)

    assert out == data + DONE
    assert stream.usage() == Usage(prompt_tokens=3, completion_tokens=2)


def test_every_single_cut_finds_the_usage_and_the_end():
    for place in range(len(STREAM)):
        out, stream = relayed(STREAM, [place])

        assert (out, stream.finished) == (STREAM, True)
        assert stream.usage() == Usage(prompt_tokens=3, completion_tokens=2)


def test_half_an_event_is_held_back():
    stream = SseBuffer(keep_usage=True)

    assert stream.feed(chunk()[:-1]) == b""
    assert stream.feed(b"\n") == chunk()
    assert not stream.finished


def test_of_several_usages_the_last_one_counts():
    stream = SseBuffer(keep_usage=False)
    for number in range(1, 4):
        counts = {"prompt_tokens": 3, "completion_tokens": number}
        stream.feed(chunk(usage=counts))

    assert stream.usage() == Usage(prompt_tokens=3, completion_tokens=3)


def test_an_answer_with_usage_beside_it_is_never_dropped():
    data = chunk("a", usage={"prompt_tokens": 3, "completion_tokens": 1})

    out, _ = relayed(data + usage_chunk(), [], keep_usage=False)

    (kept,) = out.split(b"\n\n")[:-1]
    assert json.loads(kept.removeprefix(b"data: "))["choices"][0]["delta"] == {"content": "a"}


def test_an_explicit_zero_is_zero():
    _, stream = relayed(usage_chunk(0, 0), [])

    assert stream.usage() == Usage()


@pytest.mark.parametrize("usage", [None, {}, "many", {"prompt_tokens": -1}])
def test_what_cannot_be_believed_is_no_usage(usage):
    _, stream = relayed(chunk(usage=usage), [])

    assert stream.usage() is None


def test_a_usage_that_cannot_be_believed_leaves_the_one_before():
    _, stream = relayed(usage_chunk(5, 6) + chunk(usage=None), [])

    assert stream.usage() == Usage(prompt_tokens=5, completion_tokens=6)


UNREADABLE = [
    b'{"usage":' + b"[" * 100_000,
    b'{"usage":{"prompt_tokens":1e400}}',
    b'"usage"',
    b"{not json}",
    b"{not json",
    b'{"id":"c1","choices":[{"index":0,"delta":{"content":"ha',
    b"[1]",
    b"hello",
]


@pytest.mark.parametrize("data", UNREADABLE)
def test_what_cannot_be_read_breaks_the_stream(data):
    with pytest.raises(UpstreamBroken):
        relayed(chunk() + b"data: %b\n\n" % data, [])


ERRORS = {
    "OpenAI's": b'data: {"error":{"message":"boom","code":500}}\n\n',
    "with blanks": b'data: { "error": {"message": "boom"}}\n\n',
    "without a blank": b'data:{"error":{"message":"boom"}}\n\n',
    "llama.cpp's": b'error: {"code":500,"message":"boom","type":"server_error"}\n\n',
    "a named event": b'event: error\ndata: {"message":"boom"}\n\n',
    "a named event without a blank": b'event:error\ndata: {"message":"boom"}\n\n',
    "after a comment": b': ping\ndata: {"error":{"message":"boom"}}\n\n',
    "after too many empty lines": b'\n\n\ndata: {"error":{"message":"boom"}}\n\n',
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_of_the_engine_breaks_the_stream(case):
    stream = SseBuffer(keep_usage=True)

    # The bytes before it in the same read are forwarded.
    assert stream.feed(chunk() + ERRORS[case]) == chunk()
    assert isinstance(stream.failure, UpstreamBroken)
    with pytest.raises(UpstreamBroken):
        stream.feed(DONE)
    with pytest.raises(UpstreamBroken):
        stream.close()


@pytest.mark.parametrize("said", [b'"error":null', b'"error": null', b'"errors":[]'])
def test_no_error_is_no_error(said):
    data = b'data: {%b,"choices":[{"index":0,"delta":{}}]}\n\n' % said

    assert relayed(data, [])[0] == data


@pytest.mark.parametrize("place", range(1, 40))
def test_an_error_is_seen_wherever_the_cut_is(place):
    with pytest.raises(UpstreamBroken):
        relayed(ERRORS["OpenAI's"], [place])


WORDS = [
    '"error"',
    'data: {"error": 1}',
    '\n\ndata: {"error":{"message":"boom"}}\n\n',
    "error: no such file",
    "event: error",
    "\r\nevent: error\r\n",
    "[DONE]",
    "data: [DONE]\n\n",
]


@pytest.mark.parametrize("text", WORDS)
def test_a_model_may_write_what_looks_like_the_protocol(text):
    data = chunk(text)

    out, stream = relayed(data, [])

    assert out == data
    assert not stream.finished


@given(st.text(max_size=30), cuts)
def test_no_text_of_a_model_is_an_error_or_an_end(text, places):
    out, stream = relayed(chunk("error" + text), places)

    assert out == chunk("error" + text)
    assert not stream.finished


def test_an_event_without_end_is_refused():
    stream = SseBuffer(keep_usage=True)
    beginning = chunk("x")[:-20]
    stream.feed(beginning.ljust(2**20, b"x"))
    for _ in range(MAX_EVENT_BYTES // 2**20 - 1):
        stream.feed(b"x" * 2**20)

    with pytest.raises(UpstreamBroken):
        stream.feed(b"x")


def test_blanks_before_an_event_are_no_part_of_the_answer_and_are_not_kept():
    stream = SseBuffer(keep_usage=True)
    for _ in range(1000):
        assert stream.feed(b"\n \r\n ") == b""
        assert (stream.is_between_events, stream.progress) == (True, 0)

    assert stream.feed(chunk("x")) == chunk("x")


@pytest.mark.parametrize(
    "beginning", [b"", b"data: ", b": ", b"data: 9", b"data: [", b'data: {"x":"']
)
def test_garbage_is_refused_long_before_a_chunk_would_be(beginning):
    stream = SseBuffer(keep_usage=True)
    stream.feed(beginning)
    stream.feed(b"x" * (MAX_UNCLEAR_EVENT_BYTES - len(beginning)))

    with pytest.raises(UpstreamBroken):
        stream.feed(b"x")


@pytest.mark.parametrize("before", [b"", b"event: message\nid: 1\n", BYTE_ORDER_MARK])
def test_a_long_chunk_may_begin_as_any_event(before):
    data = before + chunk("x" * 1_500_000)

    out, stream = relayed(data, range(0, len(data), 500))

    assert (out, stream.events) == (data, 1)


def test_a_long_event_is_copied_a_few_times_only():
    data = chunk("x" * 8_000_000)
    data = data[: data.rfind(b"}")] + b',"error":null}\n\n'  # it has to be parsed
    stream = SseBuffer(keep_usage=True)
    tracemalloc.start()
    try:
        out = b"".join(stream.feed(data[at : at + 65_536]) for at in range(0, len(data), 65_536))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (out, stream.events) == (data, 1)
    assert most < 5 * len(data)


def test_a_long_event_within_the_bound_is_relayed():
    data = chunk("x" * 3_000_000)

    out, stream = relayed(data, range(0, 3_000_000, 16_384))

    assert out == data
    assert stream.extra_tokens == pytest.approx(750_000, abs=2)


def test_events_are_counted_as_an_estimate_of_tokens():
    _, stream = relayed(STREAM, [])

    assert stream.events == 2


@pytest.mark.parametrize("separator", [b":", b": "])
def test_the_engines_name_of_the_model_is_replaced(separator):
    endpoint = Endpoint(id="e", address="http://e", model="/srv/m.gguf")
    answer = b'{"model"%b"/srv/m.gguf","content":"\\"model\\":\\"/srv/m.gguf\\""}' % separator

    result = with_client_model_name(answer, endpoint, "tiny")

    assert result.startswith(b'{"model"%b"tiny"' % separator)
    assert result.endswith(b'\\"/srv/m.gguf\\""}')
