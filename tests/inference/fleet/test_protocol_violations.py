"""Violations of HTTP by an engine are reported at once, and count as failures of the engine.

The timeouts of the pool are long, so that no request ends by a timeout.
"""

import asyncio
import json
import time
from functools import partial

import pytest

from tests.fakes.model_server import ModelServer
from tests.fixtures.cast import serve
from tests.fixtures.gateway import in_database
from tests.fixtures.servers.garbled import Script, garbled_engine
from tests.fixtures.servers.memory import memory_of
from tests.inference.fleet.test_engine_garbage import (
    ASKED,
    CHUNK,
    MOST_MB,
    ask_whole,
    event,
    in_flight,
    served,
)
from tests.inference.fleet.test_failover import breakers, replicas

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LONGEST_SECONDS = 1.0
PATIENCE = 60
PAUSE = 0.02
"""Pause between packets, so that the gateway reads each separately."""
MEGABYTE = 1024 * 1024
OK = b"HTTP/1.1 200 OK"
CHUNKED = b"transfer-encoding: chunked"
END = b"0\r\n\r\n"
CLOSE = b"connection: close"
JSON, STREAM = b"application/json", b"text/event-stream"
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
WHOLE = json.dumps({**CHUNK, "object": "chat.completion", "choices": [CHOICE]}).encode()


def chunk(data, *, size=None):
    return b"%x\r\n%b\r\n" % (len(data) if size is None else size, data)


def head_of(kind, *lines, status=OK):
    return b"\r\n".join((status, b"content-type: " + kind, *lines)) + b"\r\n\r\n"


def violations(kind, said):
    """Return the packets that are sent before the engine stalls. `said` is the kind of response."""

    head = partial(head_of, kind)
    chunked, good, length = head(CHUNKED), chunk(said), len(said)
    return {
        "a first chunk size that is no number": (chunked, b"zz\r\nxx\r\n"),
        "a chunk size that is no number": (chunked, good, b"zz\r\nxx\r\n"),
        "a chunk size that is no number, in one packet": (chunked + good + b"zz\r\nxx\r\n",),
        "a chunk size that is negative": (chunked, good, b"-5\r\n" + said),
        "a chunk size of 40 digits": (chunked, good, b"f" * 40 + b"\r\n" + said),
        "an empty chunk size": (chunked, good, b"\r\n" + good),
        "a chunk longer than was said": (chunked, good, chunk(said, size=5)),
        "a chunk that no CR LF ends": (chunked, b"%x\r\n%b" % (length, said), good),
        "lines of chunks that end in LF": (chunked, good, b"%x\n%b\n" % (length, said)),
        "trailers of 1 MB": (chunked, good, b"0\r\n" + b"x: y\r\n" * 180_000),
        "another head instead of a chunk": (chunked, good, chunked + good),
        "both lengths": (head(CHUNKED, b"content-length: 5"), good),
        "a negative length": (head(b"content-length: -5"), said),
        "two lengths": (head(b"content-length: 5", b"content-length: 500"), said),
        "a length that is no number": (head(b"content-length: abc"), said),
        "a length that is too short": (head(b"content-length: 10"), said),
        "a header of 1 MB": (head(b"x: " + b"h" * MEGABYTE), said),
        "1,000 headers": (head(*[b"x: y"] * 1000), said),
        "a header without a colon": (head(b"nonsense"), said),
        "a header with a zero byte": (head(b"x: a\x00b"), said),
        "a status of letters": (head(CHUNKED, status=b"HTTP/1.1 abc What"), good, END),
        "a status of four digits": (head(CHUNKED, status=b"HTTP/1.1 2000 OK"), good, END),
        "another protocol": (
            head(b"upgrade: x", b"connection: upgrade", status=b"HTTP/1.1 101 Switching"),
            said,
        ),
        "HTTP/0.9": (said,),
        "HTTP/3": (head(CHUNKED, status=b"HTTP/3.0 200 OK"), good, END),
        "HTTP/2": (bytes.fromhex("000012040000000000000300000064000400100000"),),
        "TLS": (bytes.fromhex("15030100020228") + b"\x16\x03\x01\x02\x00" * 20,),
    }


def endings(kind, said):
    """Return the packets that are sent before the engine closes the connection."""
    head = partial(head_of, kind)
    chunked, good = head(CHUNKED), chunk(said)
    redirect = head(b"location: http://169.254.169.254/", CLOSE, status=b"HTTP/1.1 307 Go")
    return {
        "no last chunk": (chunked, good),
        "half a chunk": (chunked, good[:-20]),
        "half a chunk size": (chunked, good + b"5"),
        "an unknown transfer": (head(b"transfer-encoding: sorcery"), said[:-9]),
        "a status of 999": (head(CHUNKED, CLOSE, status=b"HTTP/1.1 999 What"), good + END),
        "no content": (head(CLOSE, status=b"HTTP/1.1 204 No Content"),),
        "not modified": (head(CLOSE, status=b"HTTP/1.1 304 Not Modified"),),
        "the way to a secret": (redirect,),
    }


def scripts(ask):
    """Return all violations for a kind of response."""
    kind, said = (JSON, WHOLE) if ask is ask_whole else (STREAM, event())
    for case, parts in violations(kind, said).items():
        yield case, Script(parts=parts, pause=PAUSE, stalls=True)
    for case, parts in endings(kind, said).items():
        yield case, Script(parts=parts, pause=PAUSE)


async def blamed(gateway):
    """Return the number of recorded failures of an engine."""
    async with gateway.session.get(f"{gateway.url}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    counted = (line for line in lines if line.startswith("tenantry_upstream_errors_total{"))
    return sum(float(line.split()[-1]) for line in counted)


async def outcome(gateway, member, ask):
    """Return whether the response was valid, and whether it took too long."""
    started = time.monotonic()
    try:
        async with asyncio.timeout(5 * LONGEST_SECONDS):
            is_well = await ask(gateway, member)
    except TimeoutError:
        return "hangs"
    if time.monotonic() - started > LONGEST_SECONDS:
        return "takes long"
    return "is well" if is_well else "an honest error"


@pytest.mark.parametrize("ask", ASKED)
async def test_a_violation_of_http_ends_at_once_and_is_the_engines_fault(tmp_path, acme, ask):
    async with served(tmp_path, patience=PATIENCE) as gateway:
        for _ in range(5):
            assert await ask(gateway, acme, model="tiny")
        async with memory_of(gateway.process.pid) as memory:
            for case, script in scripts(ask):
                gateway.garbled.script = script
                before = await blamed(gateway)
                assert await outcome(gateway, acme, ask) == "an honest error", case
                assert await blamed(gateway) == before + 1, case

        while await in_flight(gateway):
            await asyncio.sleep(0.05)
        assert await ask(gateway, acme, model="tiny"), "the worker is alive"
        assert gateway.process.poll() is None
        assert gateway.log.read_text() == ""
    assert memory.grown <= MOST_MB


async def test_an_answer_that_nobody_asked_for_is_given_to_nobody(gateway, acme, rival):
    """Otherwise it would be taken for the response to the next request on the connection."""
    first, second = (
        head_of(JSON, b"content-length: %d" % len(said)) + said
        for said in (WHOLE, WHOLE.replace(b'"c"', b'"stray"'))
    )
    async with garbled_engine() as garbled:
        await in_database(serve, garbled.url, model="garbled")
        await gateway.worker.follower.catch_up()
        garbled.script = Script(parts=(first, second), pause=5 * PAUSE, stalls=True)
        assert (await gateway.chat(acme, model="garbled")).status == 200
        await asyncio.sleep(10 * PAUSE)

        answer = await gateway.chat(rival, model="garbled")

    assert answer.json()["id"] == "c"
    assert garbled.asked == 2


async def test_whoever_begins_well_and_always_breaks_off_is_left_out(gateway, acme):
    async with garbled_engine() as garbled, ModelServer() as engine:
        await replicas(gateway, garbled, engine, eject_after=3, strategy="round_robin")
        garbled.script = Script(parts=(head_of(STREAM, CHUNKED), chunk(event())), pause=PAUSE)

        for _ in range(12):
            await gateway.chat(acme, stream=True)

    assert garbled.asked == 3
    assert sorted(breakers(gateway)) == ["closed", "open"]
