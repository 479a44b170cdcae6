"""Headers and bodies: what comes from outside is bounded."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.asgi import ClientLeft, header, read_body, respond
from kernel.errors import BodyTooLarge

GONE = {"type": "http.disconnect"}


def scope_of(*headers):
    return {"type": "http", "headers": list(headers)}


def said(*messages):
    """A `receive` that says these messages, then that the client left."""
    waiting = [*messages, GONE]

    async def receive():
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    return receive


def piece(body, *, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_header_is_found():
    scope = scope_of((b"host", b"a"), (b"x-api-key", b"k"))

    assert header(scope, b"x-api-key") == b"k"


def test_an_absent_header_is_none():
    assert header(scope_of(), b"host") is None


@pytest.mark.parametrize("second", [b"k", b"another"])
def test_a_header_sent_twice_counts_as_absent(second):
    scope = scope_of((b"x-api-key", b"k"), (b"x-api-key", second))

    assert header(scope, b"x-api-key") is None


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=8))
async def test_a_body_in_pieces_is_put_together(pieces):
    *first, last = pieces
    receive = said(*map(piece, first), piece(last, more=False))

    assert await read_body(scope_of(), receive, limit=200) == b"".join(pieces)


@pytest.mark.parametrize("sizes", [[11], [10, 1], [1] * 11, [0, 11]])
async def test_a_body_beyond_the_limit_is_refused(sizes):
    *first, last = (b"x" * size for size in sizes)

    with pytest.raises(BodyTooLarge):
        await read_body(scope_of(), said(*map(piece, first), piece(last, more=False)), limit=10)


async def test_a_body_at_the_limit_is_taken():
    receive = said(piece(b"x" * 5), piece(b"x" * 5, more=False))

    assert len(await read_body(scope_of(), receive, limit=10)) == 10


@pytest.mark.parametrize("declared", [b"11", b"9" * 26, b"11" * 2000])
async def test_a_declared_length_beyond_the_limit_is_refused_unread(declared):
    async def receive():
        raise AssertionError("the body was read")

    with pytest.raises(BodyTooLarge):
        await read_body(scope_of((b"content-length", declared)), receive, limit=10)


@pytest.mark.parametrize("declared", [b"1", b"-5", b"ten", b"", "٣".encode()])
async def test_a_length_that_lies_does_not_lift_the_limit(declared):
    scope = scope_of((b"content-length", declared))

    with pytest.raises(BodyTooLarge):
        await read_body(scope, said(piece(b"x" * 11, more=False)), limit=10)


@pytest.mark.parametrize("before", [[], [piece(b"half")]])
async def test_a_client_that_leaves_in_the_middle_is_told_apart(before):
    with pytest.raises(ClientLeft):
        await read_body(scope_of(), said(*before), limit=10)


async def test_a_body_in_very_many_pieces_takes_time_in_proportion():
    receive = said(*[piece(b"x")] * 20_000, piece(b"", more=False))

    started = time.process_time()
    await read_body(scope_of(), receive, limit=20_000)

    # Adding up all pieces for each piece took minutes.
    assert time.process_time() - started < 2


async def test_an_answer_says_its_length():
    sent = []

    async def send(message):
        sent.append(message)

    await respond(send, 404, b"gone", headers=[(b"x-a", b"b")])

    start, body = sent
    assert start["status"] == 404
    assert start["headers"] == [(b"x-a", b"b"), (b"content-length", b"4")]
    assert body["body"] == b"gone"
