"""What a client may send before anybody works on it: bytes, time and connections."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
import uvicorn

from config import client_limits
from config.gateway import half_closed
from config.gateway.server import PROTOCOL_OPTIONS
from inference.relay import connection as engine_side
from kernel.asgi import JSON_TYPE, respond

LIMIT = client_limits.MAX_HEAD_BYTES
GET = b"GET / HTTP/1.1\r\nhost: test\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n"
UPGRADE = (
    GET + b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


class Asked:
    """An application that reads each body, and what became of its requests."""

    def __init__(self):
        self.bodies = []
        self.headers = []
        self.left = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        message, body = {"more_body": True}, b""
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left += 1
                return
            body += message["body"]
        waiting = asyncio.ensure_future(self.may_answer.wait())
        leaving = asyncio.ensure_future(receive())
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if leaving.done():
            self.left += 1
            return
        leaving.cancel()
        self.bodies.append(body)
        self.headers.append(scope["headers"])
        await respond(send, 200, b"{}", headers=[JSON_TYPE])


@pytest.fixture
async def asked():
    return Asked()


@asynccontextmanager
async def serving(application, **options):
    config = uvicorn.Config(
        application, port=0, loop="none", log_config=None, lifespan="off",
        **PROTOCOL_OPTIONS, **options,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


@pytest.fixture
async def port(asked):
    async with serving(asked) as made:
        yield made


@pytest.fixture
def quick(monkeypatch):
    """Times that a test can wait for."""
    monkeypatch.setattr(client_limits, "HEAD_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(client_limits, "BODY_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(client_limits, "SWEEP_SECONDS", 0.05)


async def exchange(port, *parts, pause=0.0) -> bytes:
    """All that is answered until the server ends the connection, or has answered a request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        async with asyncio.timeout(30):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            return head + await reader.readexactly(length)
    finally:
        writer.close()


def refusal(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    error = json.loads(body)["error"]
    assert error["message"].endswith(".")
    return int(head.split(b" ")[1]), error["code"]


def lines(count: int, size: int) -> bytes:
    return b"".join(b"x-%05d: %b\r\n" % (number, b"a" * size) for number in range(count))


TOO_LARGE = {
    "one header": [GET + b"x-pad: " + b"a" * LIMIT + b"\r\n\r\n"],
    "a head that does not end": [GET + b"x-pad: " + b"a" * (LIMIT + 20_000)],
    "many lines": [GET + lines(2_000, 1) + b"\r\n"],
    "long lines": [GET + lines(20, 4_000) + b"\r\n"],
    "an address": [b"GET /" + b"a" * LIMIT + b" HTTP/1.1\r\nhost: test\r\n\r\n"],
    "a name": [GET + b"a" * LIMIT + b": b\r\n\r\n"],
    "a trailer": [CHUNKED, b"1\r\nx\r\n0\r\nx-pad: " + b"a" * LIMIT + b"\r\n\r\n"],
    "many trailers": [CHUNKED + b"1\r\nx\r\n0\r\n", lines(2_000, 1) + b"\r\n"],
    "a chunk extension": [CHUNKED, b"1;a=" + b"b" * (LIMIT + 20_000) + b"\r\nx\r\n0\r\n\r\n"],
    "the second request": [GET + b"x-pad: " + b"a" * LIMIT + b"\r\n\r\n"],
    "an upgrade": [UPGRADE + b"x-pad: " + b"a" * LIMIT + b"\r\n\r\n"],
    "a line of an upgrade": [UPGRADE + b"x-pad: " + b"a" * 9_000 + b"\r\n\r\n"],
    "many lines of an upgrade": [UPGRADE + lines(130, 1) + b"\r\n"],
}


@pytest.mark.parametrize("parts", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_what_is_no_body_and_too_large_is_refused(port, asked, parts):
    assert refusal(await exchange(port, *parts)) == (431, "headers_too_large")
    assert asked.bodies == []


@pytest.mark.slow
@pytest.mark.parametrize("where", ["head", "trailer"])
async def test_an_endless_head_ends_soon_and_costs_linear_time(port, where):
    """60 MB of it once took half a minute, in which nobody else was answered."""
    begin = GET if where == "head" else CHUNKED + b"1\r\nx\r\n0\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin + b"x-pad: ")

    async def send_for_ever():
        while True:
            writer.write(b"a" * 65_536)
            await writer.drain()

    with pytest.raises(ConnectionError):
        await asyncio.wait_for(send_for_ever(), 30)


SMALL_ENOUGH = {
    "one header": [GET + b"x-pad: " + b"a" * 60_000 + b"\r\n\r\n"],
    "some lines": [GET + lines(400, 100) + b"\r\n"],
    "trailers": [CHUNKED + b"1\r\nx\r\n0\r\nx-pad: " + b"a" * 30_000 + b"\r\n\r\n"],
    "a chunk extension": [CHUNKED + b"1;a=" + b"b" * 10_000 + b"\r\nx\r\n0\r\n\r\n"],
    "a large body": [
        b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n" + b"x" * 1_000_000
    ],
    "many small chunks": [CHUNKED + b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"],
    "byte by byte": [bytes([byte]) for byte in GET + b"\r\n"],
}


@pytest.mark.parametrize("parts", SMALL_ENOUGH.values(), ids=SMALL_ENOUGH)
async def test_what_is_small_enough_is_served(port, parts):
    assert (await exchange(port, *parts)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
async def test_many_requests_that_come_at_once_are_all_served(port, asked):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write((GET + b"\r\n") * 3_000)
    async with asyncio.timeout(30):
        for _ in range(3_000):
            assert (await reader.readuntil(b"{}")).startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_trailers_do_not_become_headers(port, asked):
    trailer = b"0\r\nauthorization: Bearer stolen\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    asked.may_answer.clear()
    writer.write(CHUNKED + b"1\r\nx\r\n" + trailer)
    asked.may_answer.set()
    await reader.readuntil(b"{}")
    writer.close()
    assert [name for name, _ in asked.headers[0]] == [b"host", b"transfer-encoding"]


def test_each_bound_on_an_engine_has_its_twin_for_clients():
    assert client_limits.HEADER_OVERHEAD_BYTES == engine_side.HEADER_OVERHEAD_BYTES
    assert client_limits.MAX_HEAD_BYTES <= 2 * engine_side.MAX_BYTES_WITHOUT_BODY
    assert PROTOCOL_OPTIONS["http"] == "config.gateway.http_protocol:HttpProtocol"


LATE = {
    "a head": (GET, 408),
    "a line": (b"GET / HT", 408),
    "empty lines": (b"\r\n", 408),
    "a body": (b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nx", 408),
    "a chunk": (CHUNKED + b"5\r\nab", 408),
    "a trailer": (CHUNKED + b"1\r\nx\r\n0\r\nx-pad: a", 408),
}


@pytest.mark.parametrize(("begin", "status"), LATE.values(), ids=LATE)
async def test_a_request_that_does_not_end_is_refused(quick, port, asked, begin, status):
    assert refusal(await exchange(port, begin)) == (status, "request_timeout")
    assert asked.bodies == []


@pytest.mark.parametrize("drip", [GET + b"x: ", CHUNKED + b"ffff\r\n"], ids=["head", "body"])
async def test_a_request_that_drips_is_refused(quick, port, drip):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(drip)
    answer = asyncio.ensure_future(reader.read(12))
    async with asyncio.timeout(20):
        while not answer.done():
            writer.write(b"a")
            await asyncio.sleep(0.02)
    assert answer.result() == b"HTTP/1.1 408"
    writer.close()


async def test_a_connection_that_asks_nothing_is_closed(quick, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    writer.close()


async def test_an_answer_that_takes_its_time_is_no_late_request(quick, port, asked):
    asked.may_answer.clear()
    asyncio.get_running_loop().call_later(1.0, asked.may_answer.set)
    assert (await exchange(port, GET + b"\r\n")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("seconds", "silent", "received", "late"),
    [
        (59, 1, 0, False),
        (61, 1, 1_000, True),
        (200, 1, 1_000_000, False),
        (2_000, 1, 1_000_000, True),
        (61, 61, 1_000_000, True),
    ],
)
def test_a_body_has_a_least_rate(seconds, silent, received, late):
    found = client_limits.is_body_late(seconds=seconds, silent=silent, received=received)
    assert found is late


async def test_an_address_has_only_so_many_connections(asked, settings):
    settings.CLIENT_CONNECTIONS = 3
    settings.TRUSTED_PROXIES = ["10.0.0.1"]
    async with serving(asked) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert refusal(await exchange(port, GET + b"\r\n")) == (429, "too_many_connections")
        held.pop()[1].close()
        async with asyncio.timeout(10):
            while not (await exchange(port, GET + b"\r\n")).startswith(b"HTTP/1.1 200 "):
                await asyncio.sleep(0.02)
        for _, writer in held:
            writer.close()


async def test_a_socket_takes_a_place_until_it_ends(asked, settings):
    settings.CLIENT_CONNECTIONS = 1
    settings.TRUSTED_PROXIES = ["10.0.0.1"]
    async with serving(asked) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(UPGRADE + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        assert refusal(await exchange(port, GET + b"\r\n")) == (429, "too_many_connections")
        asked.may_answer.set()
        writer.close()
        async with asyncio.timeout(10):
            while not (await exchange(port, GET + b"\r\n")).startswith(b"HTTP/1.1 200 "):
                await asyncio.sleep(0.02)


async def test_a_trusted_proxy_has_no_such_limit(asked, settings):
    settings.CLIENT_CONNECTIONS = 1
    settings.TRUSTED_PROXIES = ["127.0.0.0/8"]
    async with serving(asked) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        assert (await exchange(port, GET + b"\r\n")).startswith(b"HTTP/1.1 200 ")
        for _, writer in held:
            writer.close()


def test_an_ipv6_client_is_counted_by_its_network():
    one = client_limits.counted_address("2001:db8:1:2::1")
    assert one == client_limits.counted_address("2001:db8:1:2:ffff::2")
    assert one != client_limits.counted_address("2001:db8:1:3::1")
    assert client_limits.counted_address("::ffff:192.0.2.1") == "192.0.2.1"


@pytest.mark.parametrize("wait", [0.0, 0.3], ids=["soon", "later"])
async def test_a_client_that_closes_its_side_gets_its_answer(port, asked, wait):
    asked.may_answer.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"\r\n")
    writer.write_eof()
    asyncio.get_running_loop().call_later(wait, asked.may_answer.set)
    async with asyncio.timeout(10):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"{}")
    assert b"connection: close" in answer
    writer.close()


async def test_a_client_that_leaves_is_noticed_before_the_answer(port, asked):
    asked.may_answer.clear()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"\r\n")
    await asyncio.sleep(0.1)
    writer.close()
    async with asyncio.timeout(half_closed.PROBES_SECONDS[-2]):
        while not asked.left:
            await asyncio.sleep(0.01)
    assert asked.bodies == []


async def test_what_is_no_http_is_told_so(port):
    assert refusal(await exchange(port, b"\x16\x03\x01 hello\r\n\r\n")) == (
        400, "malformed_request",
    )  # fmt: skip
