"""What leaves the gateway's server, and when, on real sockets."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
import uvicorn

from config.gateway.server import PROTOCOL_OPTIONS
from kernel.asgi import JSON_TYPE, respond

SEGMENTS_IN = slice(152, 156)
"""Of Linux's struct tcp_info: the segments with data that have come."""
ASK = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"


@asynccontextmanager
async def asking(application, request=ASK):
    """A client's socket as streams, over which `request` was sent to `application`."""
    config = uvicorn.Config(
        application, port=0, loop="none", log_config=None, lifespan="off", **PROTOCOL_OPTIONS
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await task


def segments(writer) -> int:
    information = writer.get_extra_info("socket").getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, 192
    )
    return int.from_bytes(information[SEGMENTS_IN], "little")


async def read_answer(reader) -> bytes:
    """The body of an answer that says how long it is."""
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    return await reader.readexactly(int(length.partition(b":")[2]))


async def start(send):
    await send({"type": "http.response.start", "status": 200, "headers": [JSON_TYPE]})


async def test_a_whole_answer_is_sent_at_once():
    async def application(scope, receive, send):
        await respond(send, 200, b"{}", headers=[JSON_TYPE])

    async with asking(application) as (reader, writer):
        for answers in (1, 2, 3):
            assert await read_answer(reader) == b"{}"
            assert segments(writer) == answers
            writer.write(ASK)


async def test_a_head_whose_body_is_late_does_not_wait_for_it():
    body_may_come = asyncio.Event()

    async def application(scope, receive, send):
        await start(send)
        await body_may_come.wait()
        await send({"type": "http.response.body", "body": b"late"})

    async with asking(application) as (reader, _):
        async with asyncio.timeout(5):
            await reader.readuntil(b"\r\n\r\n")
        body_may_come.set()
        assert await reader.readexactly(14) == b"4\r\nlate\r\n0\r\n\r\n"


async def test_a_body_that_looks_like_a_head_is_sent_as_it_is():
    told = b"HTTP/1.1 200 is how it begins"

    async def application(scope, receive, send):
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % (2 * len(told)))],
            }
        )
        await send({"type": "http.response.body", "body": told, "more_body": True})
        await send({"type": "http.response.body", "body": told})

    async with asking(application) as (reader, _), asyncio.timeout(5):
        assert await read_answer(reader) == told + told


async def test_the_last_answer_of_a_connection_is_sent_before_it_ends():
    async def application(scope, receive, send):
        close = (b"connection", b"close")
        await respond(send, 204, b"", headers=[close])

    async with asking(application) as (reader, _), asyncio.timeout(5):
        assert (await reader.read()).startswith(b"HTTP/1.1 204 ")


async def test_a_client_that_waits_to_be_told_to_continue_is_told():
    async def application(scope, receive, send):
        message = await receive()
        await respond(send, 200, message["body"])

    request = b"POST / HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    async with asking(application, request) as (reader, writer), asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert await read_answer(reader) == b"hi"


@pytest.mark.parametrize("seconds", [0, 0.05])
async def test_a_client_that_leaves_before_the_body_breaks_nothing(seconds, caplog):
    left = asyncio.Event()

    async def application(scope, receive, send):
        if scope["path"] == "/":
            await left.wait()
            await asyncio.sleep(seconds)
        await start(send)
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"x"})

    async with asking(application) as (_, writer):
        await asyncio.sleep(0.05)
        writer.transport.abort()
        left.set()
        await asyncio.sleep(0.1)

    assert [record for record in caplog.records if record.levelname != "INFO"] == []
