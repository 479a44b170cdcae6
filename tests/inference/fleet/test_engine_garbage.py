"""Invalid responses of an engine never hang a stream, end a worker or leak memory.

The gateway has its own process, so that its memory can be measured.
"""

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from functools import cache
from types import SimpleNamespace

import aiohttp
import pytest

from tests.agents.doors.websocket.test_socket import CREATE, TERMINAL, socket
from tests.fakes.model_server import ModelServer
from tests.fixtures.cast import serve
from tests.fixtures.gateway import eventually, in_database
from tests.fixtures.servers.garbled import Script, garbled_engine, head
from tests.fixtures.servers.memory import memory_of
from tests.fixtures.servers.processes import gateway_process

pytestmark = pytest.mark.timeout(180)

MOST_MB = 64
"""A response may have 32 MB, and is briefly in memory twice."""
PATIENCE = 2
"""Timeout in seconds for the first token and between two tokens."""
LONGEST_SECONDS = 2 * PATIENCE + 2
"""Timeouts are checked at intervals, and the response takes time too."""
WORD = "ü→𝄞"
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tiny"}
LARGE = 10 * 1024 * 1024
JSON = "application/json"


def event(text=WORD):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return f"data: {json.dumps({**CHUNK, 'choices': [choice]}, ensure_ascii=False)}\n\n".encode()


def chunked(kind="text/event-stream", more=""):
    return head(kind, "transfer-encoding: chunked\r\n" + more)


DONE = b"data: [DONE]\n\n"
PASSED_ON = {"half of an object", "deep nesting"}
"""Cases that a chat stream forwards, because their events are not parsed."""


@cache
def garbage():
    """Return the scripts by case; created on demand, because they are large."""
    bomb = gzip.compress(bytes(30 * LARGE))
    return {
        "no answer at all": Script(),
        "no HTTP": Script(head=b"\x00\xff\x16\x03" * 50),
        "half a head": Script(head=b"HTTP/1.1 200 OK\r\ncontent-ty"),
        "half a head, and silence": Script(head=b"HTTP/1.1 200 OK\r\ncontent-ty", stalls=True),
        "a header of 1 MB": Script(
            head=head(more=f"x-huge: {'h' * 1024 * 1024}\r\n"), body=event()
        ),
        "a header without end": Script(
            head=b"HTTP/1.1 200 OK\r\nx: ", body=b"h" * 999, repeats=True
        ),
        "headers without end": Script(
            head=b"HTTP/1.1 200 OK\r\n", body=b"x-more: again\r\n" * 500, repeats=True
        ),
        "a head that drips": Script(
            head=b"HTTP/1.1 200 OK\r\nx: ", body=b"h", piece=1, repeats=True, pause=0.05
        ),
        "interim answers without end": Script(body=b"HTTP/1.1 102 Wait\r\n\r\n" * 50, repeats=True),
        "a page of HTML": Script(head=head("text/html"), body=b"<html>It works!</html>"),
        "a page that calls itself JSON": Script(head=head(JSON), body=b"<html>It works!</html>"),
        "a page that calls itself events": Script(head=head(), body=b"<html>It works!</html>"),
        "nothing at all, and no end": Script(head=head(), stalls=True),
        "a line of 10 MB": Script(head=head(), body=b"data: " + b"x" * LARGE),
        "an object of 10 MB": Script(head=head(JSON), body=b'{"x":"' + b"x" * LARGE),
        "a line without end": Script(head=head(), body=b"x" * 65536, repeats=True),
        "an object without end": Script(head=head(JSON), body=b"x" * 65536, repeats=True),
        "10 MB of empty lines": Script(head=head(), body=b"\n" * LARGE),
        "half an event": Script(head=head(), body=event()[:25]),
        "half an event, and silence": Script(head=head(), body=event()[:25], stalls=True),
        "an event, and silence": Script(head=head(), body=event(), stalls=True),
        "half of an object": Script(head=head(), body=event() + event()[:30] + b"\n\n" + DONE),
        "half of an answer": Script(head=head(JSON), body=b'{"id":"c","choices":[{"ind'),
        "no [DONE]": Script(head=head(), body=event() * 3),
        "a bomb": Script(head=head(more="content-encoding: gzip\r\n"), body=bomb),
        "a bomb in JSON": Script(head=head(JSON, "content-encoding: gzip\r\n"), body=bomb),
        "a bomb in the transfer": Script(
            head=head(more="transfer-encoding: gzip, chunked\r\n"),
            body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(bomb), bomb),
        ),
        "a bomb that nobody tells of": Script(head=head(), body=bomb),
        "a length that is too long": Script(
            head=head(more="content-length: 5000000\r\n"), body=event() + DONE[:5]
        ),
        "a length that is none": Script(head=head(more="content-length: -5\r\n"), body=event()),
        "a wrong chunk size": Script(head=chunked(), body=b"zz\r\nxx"),
        "a chunk as large as the sea": Script(head=chunked(), body=b"ffffffffff\r\n" + event() * 9),
        "a number that is too long": Script(head=head(), body=b"data: " + b"9" * LARGE + b"\n\n"),
        "deep nesting": Script(head=head(), body=b"data: " + b"[" * 500_000 + b"\n\n" + DONE),
        "deep nesting in JSON": Script(head=head(JSON), body=b"[" * 500_000),
        "no UTF-8": Script(
            head=head(), body=b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n'
        ),
        "no UTF-8 in JSON": Script(head=head(JSON), body=b'{"choices":"\xff\xfe"}'),
    }


@asynccontextmanager
async def served(home, *, patience=PATIENCE):
    """A gateway process, an engine with invalid responses, and a healthy one."""
    async with garbled_engine() as garbled, ModelServer() as engine:
        timeouts = {"first_token_timeout": patience, "token_timeout": patience}
        await in_database(serve, garbled.url, model="garbled", **timeouts)
        await in_database(serve, engine.url)
        with gateway_process(home) as process:
            async with aiohttp.ClientSession() as session:
                yield SimpleNamespace(
                    url=process.url,
                    process=process.process,
                    garbled=garbled,
                    session=session,
                    log=home / "log",
                )


async def chat(gateway, member, *, model, stream):
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{gateway.url}/v1/chat/completions"
    async with gateway.session.post(url, json=body, headers=member.bearer) as answer:
        return answer.status, await answer.read()


async def ask_whole(gateway, member, *, model="garbled"):
    """A response is complete and valid, or an error."""
    status, body = await chat(gateway, member, model=model, stream=False)
    decoded = json.loads(body)
    assert status == 200 or (status in {502, 503, 504} and decoded["error"]["message"])
    return status == 200


async def ask_stream(gateway, member, *, model="garbled"):
    """A stream has an explicit end, or is an error."""
    status, body = await chat(gateway, member, model=model, stream=True)
    if status != 200:
        assert status in {502, 503, 504}
        assert json.loads(body)["error"]["message"]
        return False
    events = body.rstrip().split(b"\n\n")
    assert events[-1] == b"data: [DONE]", body[-300:]
    return b'"error"' not in events[-2]


async def ask_on_a_socket(gateway, member, *, model="garbled"):
    """A run has one terminal event, and the socket stays open."""
    async with socket(gateway, member) as client:
        await client.say({**CREATE, "model": model})
        async with asyncio.timeout(LONGEST_SECONDS):
            *_, last = await hear_until_the_end(client)
        await client.say({"type": "ping"})
        while (await client.hear())["type"] != "pong":
            continue
    return last["type"] == "response.completed"


async def hear_until_the_end(client):
    frames = []
    while not frames or frames[-1]["type"] not in TERMINAL:
        frames.append(json.loads(await client.connection.recv()))
    return frames


async def in_flight(gateway):
    """Return the running requests that the gateway counts."""
    async with gateway.session.get(f"{gateway.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("tenantry_in_flight{"))


ASKED = [ask_whole, ask_stream, ask_on_a_socket]


@pytest.mark.slow
@pytest.mark.parametrize("ask", ASKED)
async def test_garbage_ends_in_an_honest_answer_and_takes_no_memory(tmp_path, acme, ask):
    async with served(tmp_path) as gateway:
        for _ in range(5):
            assert await ask(gateway, acme, model="tiny")
        async with memory_of(gateway.process.pid) as memory:
            for case, script in garbage().items():
                gateway.garbled.script = script
                try:
                    async with asyncio.timeout(LONGEST_SECONDS):
                        is_well = await ask(gateway, acme)
                except TimeoutError:
                    pytest.fail(f"{case}: hangs")
                assert not is_well or (ask is ask_stream and case in PASSED_ON), case

        while await in_flight(gateway):
            await asyncio.sleep(0.05)
        assert await ask(gateway, acme, model="tiny"), "the worker is alive"
        assert gateway.process.poll() is None
        assert gateway.log.read_text() == ""
    assert memory.grown <= MOST_MB


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11])
@pytest.mark.parametrize("stream", ["chat", "socket"])
async def test_characters_may_be_cut_anywhere(gateway, acme, size, stream):
    async with garbled_engine() as garbled:
        await in_database(serve, garbled.url, model="garbled")
        await gateway.worker.follower.catch_up()
        garbled.script = Script(head=head(), body=event() * 5 + DONE, piece=size)
        if stream == "chat":
            answer = await gateway.chat(acme, model="garbled", stream=True)
            said = answer.body.decode()
            assert answer.events[-1] == "[DONE]"
        else:
            async with socket(gateway, acme) as client:
                await client.say({**CREATE, "model": "garbled"})
                frames = await client.hear_until(*TERMINAL)
            assert frames[-1]["type"] == "response.completed"
            said = "".join(frame.get("delta", "") for frame in frames)

    assert said.count(WORD) == 5


async def test_an_engine_that_dies_after_any_byte_hangs_no_stream(gateway, acme):
    whole = head() + event() * 2 + DONE
    async with garbled_engine() as garbled:
        await in_database(serve, garbled.url, model="garbled")
        await gateway.worker.follower.catch_up()

        for end in [*range(0, len(whole), 7), len(whole)]:
            garbled.script = Script(head=whole[:end])
            async with asyncio.timeout(5):
                answer = await gateway.chat(acme, model="garbled", stream=True)
            assert answer.status in {200, 502}, end
            if answer.status == 200:
                assert answer.events[-1] == "[DONE]", end

    assert b'"error"' not in answer.body
    await eventually(lambda: gateway.worker.in_flight.total() == 0)
