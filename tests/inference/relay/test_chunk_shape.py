"""The fast path for chunks of a known shape gives the same output as parsing each."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.relay.answers.chunk_shape import ChunkShape
from inference.relay.sse import SseBuffer

TIGHT, SPACED = (",", ":"), (", ", ": ")


def chunk(text="a", *, separators=TIGHT, member="content", **fields) -> bytes:
    choice = {"index": 0, "delta": {member: text}, "logprobs": None, "finish_reason": None}
    value = {"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **fields}
    return b"data: %b\n\n" % json.dumps(value, separators=separators).encode()


def counts(tokens):
    return {"prompt_tokens": 8, "total_tokens": 8 + tokens, "completion_tokens": tokens}


def numbered(form, tokens):
    """Return the chunk with other numbers in its usage, if it has one."""
    return {**form, "usage": counts(tokens)} if form.get("usage") else form


FORMS = {
    "plain": {},
    "spaced": {"separators": SPACED},
    "thoughts": {"member": "reasoning_content"},
    "null usage": {"usage": None},
    "spaced null usage": {"usage": None, "separators": SPACED},
    "usage": {"usage": counts(1)},
    "spaced usage": {"usage": counts(1), "separators": SPACED},
    "timings": {"timings": {"prompt_n": 1, "cache_n": 2, "predicted_n": 3}},
}
OPTIONS = [
    {"keep_usage": False},
    {"keep_usage": True},
    {"keep_usage": True, "keep_every_usage": True},
]
texts = st.lists(st.text(max_size=12), min_size=1, max_size=8)


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=["none", "last", "every"])
@pytest.mark.parametrize("form", FORMS)
@given(said=texts)
def test_a_stream_is_relayed_as_if_each_chunk_stood_alone(form, options, said):
    stream = SseBuffer(**options)
    for text in said:
        alone = SseBuffer(**options)
        data = chunk(text, **FORMS[form])
        assert stream.feed(data) == alone.feed(data)
        assert stream.usage() == alone.usage()
    assert stream.events == len(said)


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS, ids=["none", "last", "every"])
@pytest.mark.parametrize("form", FORMS)
@given(blocks=st.lists(texts, min_size=1, max_size=5))
def test_chunks_that_come_at_once_are_relayed_as_if_each_came_alone(form, options, blocks):
    stream, alone = SseBuffer(**options), SseBuffer(**options)
    for said in blocks:
        chunks = [chunk(text, **numbered(FORMS[form], i)) for i, text in enumerate(said)]
        assert stream.feed(b"".join(chunks)) == b"".join(map(alone.feed, chunks))
        assert (stream.usage(), stream.events) == (alone.usage(), alone.events)
        assert (stream.extra_tokens, stream.progress) == (alone.extra_tokens, alone.progress)


@pytest.mark.parametrize("long", ["word " * 200, "x" * 700])
@pytest.mark.parametrize("form", ["plain", "null usage"])
def test_a_long_chunk_among_others_counts_as_many_tokens(form, long):
    stream, alone = SseBuffer(keep_usage=False), SseBuffer(keep_usage=False)
    for said in (["a"], ["b", long, "c"], ["d", "e"]):
        chunks = [chunk(text, **FORMS[form]) for text in said]
        assert stream.feed(b"".join(chunks)) == b"".join(map(alone.feed, chunks))
    assert stream.extra_tokens == alone.extra_tokens > 100


def test_an_end_or_a_failure_among_chunks_that_are_alike_is_seen():
    for last in (chunk(error={"code": 500}), b"data: [DONE]\n\n", chunk()[:-12] + b"\n\n"):
        stream, alone = SseBuffer(keep_usage=False), SseBuffer(keep_usage=False)
        stream.feed(chunk() + chunk())
        chunks = [chunk("b"), chunk("c")]
        sent = stream.feed(b"".join((*chunks, last)))
        assert sent.startswith(b"".join(map(alone.feed, chunks)))
        assert stream.finished or stream.failure is not None


def test_a_chunk_whose_numbers_stand_elsewhere_has_another_shape():
    shape = ChunkShape.of(chunk(usage=counts(1)))
    like = chunk("word", usage=counts(7))
    assert shape.beginnings_of(like + like) == [shape.before + b"word"] * 2
    for other in (
        chunk(),
        chunk(usage=counts(1))[:-1],
        chunk('say "no"', usage=counts(1)),
        chunk(usage={**counts(1), "prompt_tokens_details": {"cached_tokens": 1}}),
        chunk(usage=counts(1), more=2),
        chunk(usage=counts(1), error={"code": 500}),
        like + chunk(),
        like + b": ping\n\n",
    ):
        assert shape.beginnings_of(other) is None


def test_the_numbers_of_the_last_chunk_count():
    stream = SseBuffer(keep_usage=False)
    for tokens in (1, 9, 10, 100):
        sent = stream.feed(chunk("x", usage=counts(tokens)))

    assert stream.usage().completion_tokens == 100
    assert sent == chunk("x")


def test_a_chunk_with_another_member_has_another_shape():
    shape = ChunkShape.of(chunk())

    assert shape.beginnings_of(chunk("word")) == [shape.before + b"word"]
    for other in (
        chunk(error={"code": 500}),
        chunk(usage=counts(1)),
        chunk().replace(b'"finish_reason":null', b'"finish_reason":"stop"'),
        chunk().replace(b'"a"}', b'"a","tool_calls":[]}'),
        chunk().replace(b'"c1"', b'"c2"'),
        chunk()[:-1],
        chunk('say "no"'),
        chunk("a") + b": ping\n\n",
        chunk("a") + b": ping\n\n" + chunk("b"),
        chunk("a") + chunk("b").replace(b'"c1"', b'"c2"'),
        shape.before + shape.behind[1:],
    ):
        assert shape.beginnings_of(other) is None


@pytest.mark.parametrize("delta", [b'"delta":{}', b'"delta":null', b'"delta":{"tool_calls":[1]}'])
def test_what_begins_with_no_text_has_no_shape(delta):
    data = b'data: {"id":"c1","choices":[{"index":0,%b}]}\n\n' % delta

    assert ChunkShape.of(data) is None


def test_a_failure_after_many_like_chunks_is_seen():
    stream = SseBuffer(keep_usage=True)
    for _ in range(5):
        stream.feed(chunk())
    failed = chunk().replace(b'"finish_reason":null', b'"finish_reason":"error"')

    with pytest.raises(Exception, match="stopped"):
        stream.feed(failed)
