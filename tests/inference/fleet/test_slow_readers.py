"""Fifty clients that read one byte per second use bounded memory and do not slow others down.

The gateway has its own process, so that its memory can be measured.
"""

import asyncio
import base64
import contextlib
import json
import os
import socket
import time
from statistics import median
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.agents.doors.websocket.test_socket import CREATE
from tests.fakes.model_server import Behaviour
from tests.fixtures.servers.memory import memory_of
from tests.fixtures.servers.processes import gateway_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.usefixtures("tiny")]

READERS = 50
MOST_MB = 50
FLOOD = "[fake tokens=25000 word=" + "w" * 2000 + "]"
"""50 MB for each of them, as fast as possible."""
SMALL_WINDOW = 4096


def as_stream(member):
    """Return the bytes of a request for a stream."""
    asked = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": FLOOD}]}
    body = json.dumps(asked).encode()
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
        f"authorization: {member.bearer['authorization']}\r\n\r\n"
    ).encode() + body


def as_socket(member):
    """Return the bytes of a handshake and a `response.create`."""
    key = base64.b64encode(os.urandom(16)).decode()
    handshake = (
        "GET /ws/v1/responses HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n"
        f"authorization: {member.bearer['authorization']}\r\n\r\n"
    )
    text = json.dumps({**CREATE, "input": FLOOD}).encode()
    # RFC 6455, 5.2: a masked text frame with a length of 16 bits; a mask of zeros changes nothing.
    return handshake.encode() + b"\x81\xfe" + len(text).to_bytes(2) + bytes(4) + text


async def read_slowly(url, request):
    """Read one byte per second with the smallest TCP window, until the other side closes."""
    loop, parts = asyncio.get_running_loop(), urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_WINDOW)
        connection.setblocking(False)  # noqa: FBT003 - socket's own
        await loop.sock_connect(connection, (parts.hostname, parts.port))
        await loop.sock_sendall(connection, request)
        with contextlib.suppress(ConnectionError):
            while await loop.sock_recv(connection, 1):
                await asyncio.sleep(1)


async def ask(session, url, member):
    """Return the seconds until a complete response was received."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    started = time.perf_counter()
    async with session.post(
        f"{url}/v1/chat/completions", json=body, headers=member.bearer
    ) as answer:
        await answer.read()
        assert answer.status == 200
    return time.perf_counter() - started


async def ask_often(session, url, member, *, times=100):
    seconds = []
    for _ in range(times):
        seconds.append(await ask(session, url, member))
        await asyncio.sleep(0.02)
    return sorted(seconds)


async def until_nothing_moves(engine, *, seconds=60.0):
    """Wait until the engine cannot send more tokens."""
    async with asyncio.timeout(seconds):
        before = -1
        while before != (before := engine.records.tokens_written()) or not before:
            await asyncio.sleep(1)


@pytest.mark.parametrize("way", [as_stream, as_socket])
async def test_slow_readers_take_no_memory_and_no_time_of_others(
    tmp_path, acme, rival, engine, way
):
    engine.behave(Behaviour(tokens=3))
    with gateway_process(tmp_path) as gateway:
        async with aiohttp.ClientSession() as session:
            before = await ask_often(session, gateway.url, rival)
            async with memory_of(gateway.process.pid) as memory:
                request = way(acme)
                readers = [
                    asyncio.create_task(read_slowly(gateway.url, request)) for _ in range(READERS)
                ]
                await until_nothing_moves(engine)
                beside = await ask_often(session, gateway.url, rival)
                still = sum(not reader.done() for reader in readers)
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
            await engine.idle()
        assert '"level":"error"' not in (tmp_path / "log").read_text()

    figures = (
        f"{memory.grown:.0f} MB, {median(before):.4f} s before and {median(beside):.4f} s beside"
    )
    assert still == READERS, "they were still there when the others were measured"
    assert memory.grown <= MOST_MB, figures
    assert median(beside) <= 3 * median(before) + 0.05, figures
    assert beside[int(len(beside) * 0.95)] <= 0.25, figures
