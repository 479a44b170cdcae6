"""Failures that engines report with status 200, in complete responses and in streams."""

import json
import tracemalloc

import pytest

from inference.errors import UpstreamBroken, UpstreamRateLimited
from inference.relay.answers.engine_answers import (
    ensure_completion,
    ensure_vectors,
    estimated_tokens,
    with_usage,
)
from inference.relay.sse import SseBuffer
from kernel.errors import InvalidParameter, UpstreamError
from tenants.admission.usage.records import Usage

FINISHED = {"index": 0, "delta": {}, "finish_reason": "stop"}
END = b"data: [DONE]\n\n"


def event(value) -> bytes:
    return b"data: %b\n\n" % json.dumps(value).encode()


def chunk(text="x", **fields) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **fields})


def finish(reason="stop", index=0, **fields) -> bytes:
    choice = {"index": index, "delta": {}, "finish_reason": reason}
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **fields})


def usage(prompt=11, completion=5, **fields):
    counts = {"prompt_tokens": prompt, "completion_tokens": completion}
    return event({"id": "c1", "model": "m", "choices": [], "usage": counts, **fields})


FAILURES = {
    "an error beside the last choice": finish("error", error={"code": 502, "message": "x"}),
    "an error behind the choices": chunk(error={"message": "x"}),
    "an error without choices": event({"id": "g", "choices": [], "error": {"code": 502}}),
    "an error as a text": event({"id": "g", "error": "boom"}),
    "an error object": event({"object": "error", "message": "EngineDeadError", "code": 500}),
    "a finish reason": finish("error"),
    "DeepSeek's finish reason": finish("insufficient_system_resource"),
    "vLLM's finish reason": finish("abort"),
    "a finish reason in capitals": finish("ERROR"),
    "FastAPI's detail": event({"detail": "Internal Server Error"}),
    "a message": event({"message": "overloaded", "code": "x"}),
    "another choice's finish reason": finish("error", index=1),
    "no JSON": b"data: {not json\n\n",
    "half a chunk": b'data: {"id":"c1","choices":[{"index":0,"delta":{"con\n\n',
    "choices that are no list": event({"id": "c1", "choices": "x"}),
    "a named event": b'event: error\ndata: {"choices": []}\n\n',
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_in_a_stream_is_one_wherever_it_stands(case):
    stream = SseBuffer(keep_usage=True)

    assert stream.feed(chunk("Half") + FAILURES[case] + END) == chunk("Half")
    assert isinstance(stream.failure, UpstreamBroken)
    assert not stream.finished


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_before_the_first_chunk_is_one_at_once(case):
    with pytest.raises(UpstreamBroken):
        SseBuffer(keep_usage=True).feed(FAILURES[case] + END)


def test_before_the_first_chunk_the_request_itself_may_be_wrong():
    with pytest.raises(InvalidParameter, match="Bad"):
        SseBuffer(keep_usage=True).feed(event({"error": {"code": 400, "message": "Bad."}}))
    with pytest.raises(UpstreamRateLimited):
        SseBuffer(keep_usage=True).feed(event({"error": {"code": 429}}))


NO_FAILURES = {
    "the word": chunk("error"),
    "a key in a text": chunk('{"error": 1}'),
    "null": chunk(error=None),
    "an empty object": chunk(error={}),
    "other finish reasons": finish("length"),
    "a choice's message": chunk(message="hello"),
}


@pytest.mark.parametrize("case", NO_FAILURES)
def test_what_only_looks_like_a_failure_is_sent_on(case):
    stream = SseBuffer(keep_usage=True)

    assert stream.feed(NO_FAILURES[case]) == NO_FAILURES[case]
    assert stream.events == 1


ENDS = {
    "nothing": b"",
    "no empty line": b"data: [DONE]\n",
    "no line end": b"data: [DONE]",
    "no blank": b"data:[DONE]",
    "lines as on Windows": b"data: [DONE]\r\n\r\n",
    "half a line end": b"data: [DONE]\r",
    "bytes behind it": b"data: [DONE]\n\nxyz",
    "events behind it": END + chunk("late"),
    "a comment behind it": END + b": bye\n\n",
    "half of it": b"data: [DO",
    "half a chunk": b'data: {"id":"c1","cho',
    "a comment": b": bye",
    "blanks": b"  \n",
}


@pytest.mark.parametrize("case", ENDS)
def test_an_answer_that_is_finished_needs_no_polite_end(case):
    stream = SseBuffer(keep_usage=True)

    sent = stream.feed(chunk("All") + finish() + usage() + ENDS[case])
    if not stream.finished:
        sent += stream.close()

    assert stream.finished
    text = sent.decode()
    assert text.count("[DONE]") == 1
    assert text.endswith("data: [DONE]\n\n")
    assert "late" not in text
    assert stream.usage().completion_tokens == 5


@pytest.mark.parametrize("end", [b"", b"data: [DO", chunk("more"), b": ping\n\n", usage()])
def test_an_answer_that_is_not_finished_is_broken_at_its_end(end):
    stream = SseBuffer(keep_usage=True)
    stream.feed(chunk() + end)

    with pytest.raises(UpstreamBroken):
        stream.close()


def test_of_two_choices_both_have_to_be_finished():
    stream = SseBuffer(keep_usage=True, answers=2)
    stream.feed(chunk() + finish(index=1))
    assert not stream.is_complete

    stream.feed(finish(index=0))
    assert stream.is_complete


PINGS = [
    b": ping\n\n",
    b": ping",
    b"event: ping\n\n",
    event({"type": "ping"}),
    event({"choices": []}),
    event({"id": "x", "choices": None}),
    b"\n\n",
]


@pytest.mark.parametrize("ping", PINGS)
def test_a_ping_is_no_progress(ping):
    stream = SseBuffer(keep_usage=True)
    stream.feed(ping)

    assert stream.progress == 0


def test_half_a_chunk_is_progress():
    stream = SseBuffer(keep_usage=True)
    stream.feed(chunk()[:20])

    assert stream.progress > 0


USAGE = {
    "in the finish chunk, then null": (
        chunk(usage=None)
        + finish(usage={"prompt_tokens": 11, "completion_tokens": 5})
        + finish(None, usage=None)
    ),
    "in a choice": event(
        {"choices": [{**FINISHED, "usage": {"prompt_tokens": 11, "completion_tokens": 5}}]}
    ),
    "with a point": finish() + usage(11.0, 5.0),
    "then one that cannot be meant": finish() + usage() + usage(-1, "x"),
    "in a chunk without a list": finish()
    + event({"id": "c1", "usage": {"prompt_tokens": 11, "completion_tokens": 5}}),
    "Groq's": finish(x_groq={"usage": {"prompt_tokens": 11, "completion_tokens": 5}}),
}


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("case", USAGE)
def test_usage_is_found_wherever_an_engine_puts_it_and_told_on_one_last_chunk(case, cut):
    stream = SseBuffer(keep_usage=True)
    data = chunk() + USAGE[case] + END
    pieces = [each + b"\n\n" for each in data.split(b"\n\n")[:-1]] if cut else [data]

    sent = b"".join(map(stream.feed, pieces))

    found = stream.usage()
    assert (found.prompt_tokens, found.completion_tokens) == (11, 5)
    *chunks, done = [each.removeprefix(b"data: ") for each in sent.split(b"\n\n")[:-1]]
    parsed = [json.loads(each) for each in chunks]
    assert done == b"[DONE]"
    assert parsed[-1]["choices"] == []
    assert parsed[-1]["usage"]["completion_tokens"] in {5, "x"}
    assert not any("usage" in each for each in parsed if each["choices"])


def test_usage_on_every_chunk_is_for_those_who_ask_for_that():
    counts = {"prompt_tokens": 8, "total_tokens": 9, "completion_tokens": 1}
    data = chunk(usage=counts) + chunk("timed", timings={"prompt_n": 1}) + finish() + usage()
    compact = b'data: {"id":"c","choices":[{"delta":{}}],"usage":%b}\n\n' % (
        json.dumps(counts, separators=(",", ":")).encode()
    )

    every = SseBuffer(keep_usage=True, keep_every_usage=True).feed(data + compact)
    last = SseBuffer(keep_usage=True).feed(data)
    single = SseBuffer(keep_usage=True).feed(compact)

    assert every == data + compact
    assert last == chunk() + chunk("timed") + finish() + usage()
    assert single == b'data: {"id":"c","choices":[{"delta":{}}]}\n\n'


def test_bytes_that_are_no_text_become_the_replacement_character():
    stream = SseBuffer(keep_usage=True)
    data = chunk("bad @@").replace(b"@@", b"\xff\xfe")

    assert json.loads(stream.feed(data)[6:])["choices"][0]["delta"]["content"] == "bad ��"


def test_a_chunk_with_many_words_counts_as_many_tokens():
    stream = SseBuffer(keep_usage=True)
    stream.feed(chunk("word " * 2000))

    assert 2000 <= stream.events + stream.extra_tokens <= 2500


def test_a_number_beyond_all_numbers_breaks_an_answer_whose_tokens_are_estimated():
    words = b'{"content":"%b","n":1e999}' % (b"x " * 400)
    body = b'{"choices":[{"message":%b}]}' % words

    with pytest.raises(UpstreamBroken):
        SseBuffer(keep_usage=True).feed(b'data: {"id":"c","choices":[{"delta":%b}]}\n\n' % words)
    with pytest.raises(UpstreamBroken):
        estimated_tokens(body)
    with pytest.raises(UpstreamBroken):
        with_usage(b'{"choices":[],"n":1e999}', Usage(prompt_tokens=3, completion_tokens=2))


def test_a_number_beyond_all_numbers_beside_the_usage_breaks_the_stream():
    late = b'data: {"id":"c1","n":1e999,"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    stream = SseBuffer(keep_usage=True)

    assert stream.feed(chunk() + late) == chunk()
    assert isinstance(stream.failure, UpstreamBroken)


def test_a_byte_order_mark_is_no_part_of_the_answer():
    stream = SseBuffer(keep_usage=True)
    stream.feed(b"\xef\xbb\xbf" + chunk())

    assert stream.events == 1


NO_ANSWERS = {
    "an error": {"error": {"code": 502, "message": "x"}},
    "an error beside choices": {"choices": [{"message": {}}], "error": {"message": "x"}},
    "choices null": {"id": "c", "choices": None, "usage": None},
    "choices missing": {"id": "c", "object": "chat.completion"},
    "choices no list": {"choices": {"0": {}}},
    "choices empty": {"choices": []},
    "an error object": {"object": "error", "message": "x"},
    "a failed choice": {"choices": [{"message": {"content": "ha"}, "finish_reason": "error"}]},
    "detail": {"detail": "Not Found"},
    "a list": [],
    "null": None,
}


@pytest.mark.parametrize("case", NO_ANSWERS)
def test_a_whole_answer_without_choices_is_the_engines_failure(case):
    with pytest.raises(UpstreamError):
        ensure_completion(json.dumps(NO_ANSWERS[case]).encode())


def test_a_whole_answer_may_say_what_is_wrong_with_the_request():
    with pytest.raises(InvalidParameter, match="Bad"):
        ensure_completion(b'{"error": {"code": 400, "message": "Bad."}}')


def test_a_good_answer_is_one():
    ensure_completion(b'{"choices": [{"message": {"content": "error"}}], "error": null}')
    ensure_vectors(b'{"object": "list", "data": [], "error": null}')


@pytest.mark.parametrize("body", ['{"error": {"message": "x"}}', '{"data": null}', "{}", "[]"])
def test_vectors_are_a_list(body):
    with pytest.raises(UpstreamError):
        ensure_vectors(body.encode())


def test_long_vectors_take_no_memory_of_their_own():
    body = b'{"data":[{"embedding":[%b1]}]}' % (b"0.123456," * 500_000)
    tracemalloc.start()
    try:
        ensure_vectors(body)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < 100_000


def test_a_whole_answer_says_what_is_billed_for_it():
    body = b'{"id": "c1", "choices": [{"message": {"content": "\xc3\xbc"}}], "usage": null}'

    parsed = json.loads(with_usage(body, Usage(prompt_tokens=3, completion_tokens=2)))

    assert parsed["choices"] == [{"message": {"content": "ü"}}]
    assert parsed["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_the_tokens_of_a_whole_answer_are_estimated_by_all_it_says():
    call = {"id": "1", "function": {"name": "f", "arguments": "x" * 400}}
    message = {"content": "word " * 100, "reasoning": "word " * 100, "tool_calls": [call]}

    tokens = estimated_tokens(json.dumps({"choices": [{"message": message}]}).encode())

    assert 300 <= tokens <= 400
