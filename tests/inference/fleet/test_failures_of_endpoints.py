"""After the failure of one endpoint another one serves the request."""

import asyncio
import json
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest

from tests.fakes.model_server import Behaviour, Fault, ModelServer
from tests.fakes.replay import replaying
from tests.fixtures.cast import add_endpoint, serve
from tests.fixtures.gateway import in_database, ledger

STATUSES = [401, 402, 403, 404, 408, 409, 425, 500, 501, 502, 503, 504, 505, 520, 522, 524, 529]
CHUNK = b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
FINISH = b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
PING = b": ping\n\n"


@asynccontextmanager
async def beside_a_good_one(gateway, address):
    """Create the route `tiny` with an endpoint at `address` and a healthy one."""
    async with ModelServer() as good:
        pool = {"strategy": "round_robin", "eject_after": 1000}
        route = await in_database(serve, address, **pool)
        await in_database(add_endpoint, route, good.url)
        await gateway.worker.follower.catch_up()
        yield good


async def both(gateway, member, **body):
    """Send two requests. One of them goes to the failing endpoint first."""
    return [await gateway.chat(member, **body) for _ in range(2)]


@pytest.mark.parametrize("stream", [False, True])
async def test_another_endpoint_is_tried_for_every_status_that_is_not_the_callers_fault(
    gateway, acme, stream
):
    async with ModelServer() as bad, beside_a_good_one(gateway, bad.url):
        for status in STATUSES:
            bad.behave(Behaviour(fault=Fault.REFUSES, status=status))
            answers = [await gateway.chat(acme, stream=stream) for _ in range(2)]
            assert [answer.status for answer in answers] == [200, 200], status
            # Retries are limited by requests; these fill the budget for the next status.
            bad.behave(Behaviour())
            for _ in range(8):
                await gateway.chat(acme)


async def test_a_complaint_about_the_request_is_not_tried_elsewhere(gateway, acme):
    refuses = Behaviour(fault=Fault.REFUSES, status=400, error_body='{"error": {"message": "No."}}')
    async with ModelServer(behaviour=refuses) as bad, beside_a_good_one(gateway, bad.url):
        statuses = [answer.status for answer in await both(gateway, acme)]

    assert sorted(statuses) == [200, 400]


BAD_ANSWERS = {
    "an error": b'{"error": {"code": 502, "message": "ResourceExhausted"}}',
    "no choices": b'{"id": "c1", "choices": null, "usage": null}',
}


@pytest.mark.parametrize("case", BAD_ANSWERS)
async def test_another_endpoint_is_tried_for_a_200_that_is_no_answer(gateway, acme, case):
    async with replaying() as bad, beside_a_good_one(gateway, bad.url):
        bad.whole(b"200 OK\ncontent-type: application/json\n\n" + BAD_ANSWERS[case])
        answers = await both(gateway, acme)

    assert [answer.status for answer in answers] == [200, 200]
    assert len(bad.asked) == 1


async def test_another_endpoint_is_tried_for_a_failure_before_the_first_chunk(gateway, acme):
    async with replaying() as bad, beside_a_good_one(gateway, bad.url):
        bad.stream(PING, b'data: {"choices": [], "error": {"code": 502}}\n\n')
        answers = await both(gateway, acme, stream=True)

    assert [answer.status for answer in answers] == [200, 200]
    assert all(answer.events[-1] == "[DONE]" for answer in answers)
    assert not any("error" in json.loads(e) for a in answers for e in a.events[:-1])
    assert len(bad.asked) == 1


@asynccontextmanager
async def raw_engine(answer: Callable):
    """Start an engine that calls `answer(reader, writer)` for each connection."""

    async def handle(reader, writer):
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def read_request(reader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    sizes = [
        line.split(b":")[1]
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    return await reader.readexactly(int(sizes[0])) if sizes else b""


def whole(body: bytes, *, content_type=b"application/json", status=b"200 OK", more=b"") -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n"
    return head % (status, content_type, len(body), more) + body


ANSWER = (
    b'{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)


async def test_a_used_connection_that_the_engine_has_closed_is_no_failure(gateway, acme):
    connections = 0

    async def once(reader, writer):
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(whole(ANSWER))
        await reader.readuntil(b"\r\n\r\n")  # and closes while the second request arrives

    async with raw_engine(once) as address:
        await in_database(serve, address)
        await gateway.worker.follower.catch_up()
        statuses = [(await gateway.chat(acme)).status for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert connections >= 3


async def test_a_new_connection_that_is_closed_is_a_failure(gateway, acme):
    asked = 0

    async def closes(reader, writer):
        nonlocal asked
        await read_request(reader)
        asked += 1

    async with raw_engine(closes) as address:
        await in_database(serve, address)
        await gateway.worker.follower.catch_up()
        answer = await gateway.chat(acme)

    assert (answer.status, asked) == (502, 1)


async def test_pings_are_no_answer(gateway, acme):
    async def pings(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream\r\n\r\n")
        while True:
            writer.write(PING)
            await writer.drain()
            await asyncio.sleep(0.1)

    async with raw_engine(pings) as address:
        await in_database(serve, address, first_token_timeout=1)
        await gateway.worker.follower.catch_up()
        async with asyncio.timeout(20):
            answer = await gateway.chat(acme, stream=True)

    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize(("last", "code"), [(FINISH, None), (CHUNK, "upstream_timeout")])
async def test_pings_behind_an_answer_do_not_keep_it_open(gateway, acme, last, code):
    async def answers_and_pings(reader, writer):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + CHUNK + last)
        while True:
            writer.write(PING)
            await writer.drain()
            await asyncio.sleep(0.1)

    async with raw_engine(answers_and_pings) as address:
        await in_database(serve, address, token_timeout=1)
        await gateway.worker.follower.catch_up()
        async with asyncio.timeout(20):
            answer = await gateway.chat(acme, stream=True)

    *events, done = answer.events
    assert done == "[DONE]"
    assert json.loads(events[-1]).get("error", {}).get("code") == code
    (row,) = await ledger()
    assert row.status == ("failed" if code else "completed")


async def test_a_failure_in_a_stream_is_told_though_the_engine_keeps_it_open(gateway, acme):
    async def fails_and_waits(reader, writer):
        await read_request(reader)
        failure = b'data: {"object":"error","message":"EngineDeadError","code":500}\n\n'
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
        writer.write(head + CHUNK + failure)
        await reader.read()

    async with raw_engine(fails_and_waits) as address:
        await in_database(serve, address, token_timeout=60)
        await gateway.worker.follower.catch_up()
        async with asyncio.timeout(20):
            answer = await gateway.chat(acme, stream=True)

    text, error, done = answer.events
    assert json.loads(text)["choices"][0]["delta"]["content"] == "hi"
    assert (json.loads(error)["error"]["code"], done) == ("upstream_broken", "[DONE]")


async def test_an_engine_that_wants_the_new_name_of_the_limit_gets_it(gateway, acme):
    asked = []
    complaint = {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }

    async def modern(reader, writer):
        while True:
            asked.append(json.loads(await read_request(reader) or b"{}"))
            if "max_tokens" in asked[-1]:
                body = json.dumps({"error": complaint}).encode()
                writer.write(whole(body, status=b"400 Bad Request"))
            else:
                writer.write(whole(ANSWER, content_type=b"Application/JSON; charset=utf-8"))

    async with raw_engine(modern) as address:
        await in_database(serve, address, engine="openai")
        await gateway.worker.follower.catch_up()
        first = await gateway.chat(acme, max_tokens=16)
        second = await gateway.chat(acme, max_completion_tokens=17)

    assert (first.status, second.status) == (200, 200)
    limits = [(each.get("max_tokens"), each.get("max_completion_tokens")) for each in asked]
    assert limits == [(16, None), (None, 16), (None, 17)]


async def test_requests_that_come_at_once_all_learn_the_name_of_the_limit(gateway, acme):
    refusal = b'{"error": {"message": "Not max_tokens. Use max_completion_tokens."}}'
    both_refused = asyncio.Barrier(2)

    async def modern(reader, writer):
        while True:
            if b'"max_tokens"' in await read_request(reader):
                await both_refused.wait()
                writer.write(whole(refusal, status=b"400 Bad Request"))
            else:
                writer.write(whole(ANSWER))

    async with raw_engine(modern) as address:
        await in_database(serve, address, engine="openai")
        await gateway.worker.follower.catch_up()
        async with asyncio.timeout(20):
            asking = [gateway.chat(acme, max_tokens=16) for _ in range(2)]
            answers = await asyncio.gather(*asking)

    assert [answer.status for answer in answers] == [200, 200]


async def test_blanks_inside_the_first_chunk_are_relayed(gateway, acme):
    blanks = b" " * 4096
    before, behind = CHUNK.split(b"hi")

    async with replaying() as engine:
        engine.pause_seconds = 0.2
        engine.stream(before, blanks, behind, FINISH, b"data: [DONE]\n\n")
        await in_database(serve, engine.url, engine="openai")
        await gateway.worker.follower.catch_up()
        answer = await gateway.chat(acme, stream=True)

    content = json.loads(answer.events[0])["choices"][0]["delta"]["content"]
    assert content == blanks.decode()


async def test_what_the_kind_of_engine_does_not_take_is_refused_before_it_is_sent(gateway, acme):
    async with ModelServer() as engine:
        await in_database(serve, engine.url, engine="llamacpp")
        await gateway.worker.follower.catch_up()
        refused = await gateway.chat(acme, min_tokens=5)
        taken = await gateway.chat(acme, top_k=5, repetition_penalty=1.2)

    assert (refused.status, refused.error["param"]) == (400, "min_tokens")
    assert refused.error["code"] == "unsupported_parameter"
    assert taken.status == 200
    (asked,) = [record.body for record in engine.records]
    assert (asked["top_k"], asked["repeat_penalty"]) == (5, 1.2)
    assert gateway.worker.in_flight.total() == 0


async def test_the_engines_time_to_wait_reaches_the_caller(gateway, acme):
    busy = Behaviour(fault=Fault.REFUSES, status=429, retry_after="17")
    async with ModelServer(behaviour=busy) as engine:
        await in_database(serve, engine.url, eject_after=1000)
        await gateway.worker.follower.catch_up()
        limited = await gateway.chat(acme)
        engine.behave(Behaviour(fault=Fault.REFUSES, status=503, retry_after="23"))
        overloaded = await gateway.chat(acme, stream=True)

    assert (limited.status, limited.headers["retry-after"]) == (429, "17")
    assert limited.error["code"] == "upstream_rate_limited"
    assert (overloaded.status, overloaded.headers["retry-after"]) == (503, "23")


async def test_an_event_as_large_as_an_answer_may_be_is_relayed_and_billed(gateway, acme):
    large = CHUNK.replace(b"hi", b"word " * 400_000)

    async with replaying() as engine:
        engine.stream(large, FINISH, b"data: [DONE]\n\n")
        await in_database(serve, engine.url, engine="openai")
        await gateway.worker.follower.catch_up()
        answer = await gateway.chat(acme, stream=True)

    assert answer.status == 200
    assert len(answer.body) > 2_000_000
    (row,) = await ledger()
    assert (row.status, row.estimated) == ("completed", True)
    assert 400_000 <= row.completion_tokens <= 510_000
