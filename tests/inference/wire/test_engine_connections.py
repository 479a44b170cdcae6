"""Connections to engines: responses, and the conditions of keep-alive."""

import asyncio
import contextlib
import ipaddress
import random
import ssl
from datetime import UTC, datetime, timedelta
from socket import AF_INET

import pytest
from aiohttp import ThreadedResolver
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference.errors import UpstreamBroken
from inference.fleet.snapshot import Endpoint, Pool
from inference.relay import connections
from inference.relay.connection import MAX_BUFFERED_BYTES
from inference.relay.upstream import ConnectFailed, Upstream
from kernel.errors import UpstreamError

PATH = "/v1/chat/completions"
POOL = Pool(name="p", engine="vllm", connect_timeout=0.5)
HELLO = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"
    b"6;x=1\r\nHello \r\n5\r\nWorld\r\n0\r\nx-trailer: 1\r\n\r\n"
)


class Engine:
    """A server that responds to each request on a connection with the next of its `answers`."""

    def __init__(self, *answers, ends=False, tls=None):
        self.answers = list(answers)
        self.ends = ends
        self.tls = tls
        self.requests = []
        self.writers = []
        self.closed = 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        scheme = "https" if self.tls else "http"
        self.endpoint = Endpoint(id="e", address=f"{scheme}://127.0.0.1:{self.port}", model="m")
        return self

    async def __aexit__(self, *_):
        for writer in self.writers:
            writer.close()
        self.server.close()

    @property
    def connections(self):
        return len(self.writers)

    async def serve(self, reader, writer):
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.requests.append((head, await reader.readexactly(length)))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                writer.write(answer)
                await writer.drain()
                if self.ends:
                    break
        self.closed += 1
        writer.close()


@pytest.fixture
async def upstream():
    upstream = Upstream(connections=2)
    await upstream.open()
    yield upstream
    await upstream.close()


async def ask(upstream, engine, body=b"{}"):
    """Return the status and the complete body."""
    answer = await upstream.post(engine.endpoint, PATH, body, pool=POOL)
    try:
        async with asyncio.timeout(5):
            parts = [await answer.read()]
            while parts[-1]:
                parts.append(await answer.read())
    finally:
        answer.release()
    return answer.status, b"".join(parts)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_one_connection_carries_many_requests(upstream):
    async with Engine(HELLO, CHUNKED, HELLO) as engine:
        found = [await ask(upstream, engine, b'{"n":%d}' % n) for n in range(3)]

    assert found == [(200, b"Hello"), (200, b"Hello World"), (200, b"Hello")]
    assert engine.connections == 1
    assert [body for _, body in engine.requests] == [b'{"n":0}', b'{"n":1}', b'{"n":2}']
    head = engine.requests[0][0].decode()
    assert head.startswith(f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1:{engine.port}\r\n")
    assert "accept-encoding: identity\r\n" in head


@pytest.mark.slow
async def test_an_answer_may_be_cut_anywhere(upstream):
    for at in range(1, len(CHUNKED)):
        async with Engine(CHUNKED[:at]) as engine:
            answer = await upstream.post(engine.endpoint, PATH, b"{}", pool=POOL)
            await until(lambda: engine.requests)
            await asyncio.sleep(0)
            engine.writers[0].write(CHUNKED[at:])
            read = b""
            while data := await answer.read():
                read += data
            answer.release()
            assert read == b"Hello World"


@pytest.mark.parametrize(
    "answer",
    [
        HELLO.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"),
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nHello",
        HELLO + HELLO,
        HELLO + b"more",
    ],
    ids=["says so", "an old server", "two answers", "more than it said"],
)
async def test_a_connection_that_is_not_to_be_trusted_is_not_used_again(upstream, answer):
    async with Engine(answer, HELLO) as engine:
        assert await ask(upstream, engine) == (200, b"Hello")
        await asyncio.sleep(0.05)
        assert await ask(upstream, engine) == (200, b"Hello")
        assert engine.connections == 2


async def test_what_nobody_asked_for_ends_a_connection_and_is_no_answer(upstream):
    async with Engine(HELLO) as engine:
        await ask(upstream, engine)
        engine.writers[0].write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nEvil")
        await asyncio.sleep(0.05)
        assert await ask(upstream, engine) == (200, b"Hello")
        assert engine.connections == 2


async def test_an_answer_that_is_left_early_is_cut_off(upstream):
    async with Engine(CHUNKED[:-15], HELLO) as engine:
        answer = await upstream.post(engine.endpoint, PATH, b"{}", pool=POOL)
        assert await answer.read()
        answer.release()
        answer.release()
        await until(lambda: engine.closed == 1)
        assert await ask(upstream, engine) == (200, b"Hello")


async def test_without_a_length_the_end_of_the_connection_is_the_end(upstream):
    async with Engine(b"HTTP/1.1 200 OK\r\n\r\nHello", ends=True) as engine:
        assert await ask(upstream, engine) == (200, b"Hello")


@pytest.mark.parametrize("answer", [HELLO[:-2], CHUNKED[:-6]])
async def test_what_came_of_a_broken_answer_is_read_before_its_failure(upstream, answer):
    async with Engine(answer, ends=True) as engine:
        found = await upstream.post(engine.endpoint, PATH, b"{}", pool=POOL)
        await until(lambda: engine.closed)
        assert (await found.read()).startswith(b"Hel")
        with pytest.raises(UpstreamBroken):
            await found.read()
        found.release()


VIOLATIONS = {
    "no answer": b"",
    "no HTTP": b"\x16\x03\x01\x00\xa5",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nHello",
    "a length and chunks": CHUNKED.replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n", 1),
    "a negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\nHello",
    "a chunk of no size": CHUNKED.replace(b"5\r\nWorld", b"zz\r\nWorld"),
    "a chunk longer than it said": CHUNKED.replace(b"World", b"World!!"),
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nx: " + b"h" * 200_000,
    "a header of 100 kB": HELLO.replace(b"\r\n\r\n", b"\r\nx: %b\r\n\r\n" % (b"h" * 100_000)),
    "announcements without end": b"HTTP/1.1 102 Wait\r\n\r\n" * 10_000,
}


@pytest.mark.parametrize("answer", VIOLATIONS.values(), ids=VIOLATIONS)
async def test_what_is_no_answer_fails_at_once(upstream, answer):
    async with Engine(answer, ends=not answer) as engine:
        with pytest.raises(UpstreamError):
            await asyncio.wait_for(ask(upstream, engine), 1)


async def test_announcements_before_an_answer_are_passed_over(upstream):
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    async with Engine(early + HELLO) as engine:
        for _ in range(2):
            assert await ask(upstream, engine) == (200, b"Hello")
        assert engine.connections == 1


async def test_an_idle_connection_is_closed_before_its_server_would(upstream, monkeypatch):
    monkeypatch.setattr(connections, "KEEP_ALIVE_SECONDS", 0.1)
    async with Engine(HELLO) as engine:
        await ask(upstream, engine)
        await until(lambda: engine.closed == 1)
        await ask(upstream, engine)
        assert engine.connections == 2


async def test_no_more_requests_run_than_there_are_connections(upstream):
    async with Engine(CHUNKED[:-15]) as engine:
        held = [await upstream.post(engine.endpoint, PATH, b"{}", pool=POOL) for _ in range(2)]
        with pytest.raises(ConnectFailed):
            await upstream.post(engine.endpoint, PATH, b"{}", pool=POOL)
        waiting = asyncio.create_task(upstream.post(engine.endpoint, PATH, b"{}", pool=POOL))
        await asyncio.sleep(0.05)
        held.pop().release()
        held.append(await waiting)
        for each in held:
            each.release()


@pytest.mark.slow
async def test_requests_stopped_anywhere_leave_nothing(upstream):
    rng = random.Random(7)
    async with Engine(CHUNKED) as engine:
        for _ in range(300):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rng.choice([0, 0.0005, 0.001, 0.002])):
                    await ask(upstream, engine)
        both = [upstream.post(engine.endpoint, PATH, b"{}", pool=POOL) for _ in range(2)]
        for answer in await asyncio.gather(*both):
            answer.release()


async def test_who_does_not_read_makes_the_engine_wait(upstream):
    size = 50 * 1024 * 1024
    flood = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + bytes(size)
    async with Engine(flood) as engine:
        answer = await upstream.post(engine.endpoint, PATH, b"{}", pool=POOL)
        await asyncio.sleep(0.3)
        assert sum(map(len, answer._parts)) <= MAX_BUFFERED_BYTES + 256 * 1024
        read = 0
        while data := await answer.read():
            read += len(data)
        answer.release()
    assert read == size


async def test_a_large_request_arrives_whole(upstream):
    body = random.Random(7).randbytes(4 * 1024 * 1024)
    async with Engine(HELLO) as engine:
        assert await ask(upstream, engine, body) == (200, b"Hello")
        assert engine.requests[0][1] == body


async def test_nobody_there_is_known_at_once(upstream):
    async with Engine(HELLO) as engine:
        pass
    with pytest.raises(ConnectFailed) as caught:
        await upstream.post(engine.endpoint, PATH, b"{}", pool=POOL)
    assert caught.value.was_refused


async def test_who_hangs_up_at_once_is_no_engine_and_keeps_nobody_waiting(upstream):
    def hang_up(_, writer):
        writer.transport.abort()

    async with Engine() as engine:
        rude = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = rude.sockets[0].getsockname()[1]
        engine.endpoint = Endpoint(id="e", address=f"http://127.0.0.1:{port}", model="m")
        for _ in range(50):
            with pytest.raises(UpstreamError):
                await asyncio.wait_for(ask(upstream, engine), 2)
        rude.close()
    await until(lambda: not upstream._connections._open)


class Names(ThreadedResolver):
    """A resolver with fixed addresses that counts its calls."""

    def __init__(self, *addresses):
        self.addresses = addresses
        self.asked = 0

    async def resolve(self, host, port=0, family=AF_INET):
        self.asked += 1
        return [{"host": address, "port": port} for address in self.addresses]


async def test_a_name_is_asked_for_once_and_each_of_its_addresses_is_tried():
    names = Names("127.0.0.9", "127.0.0.1")
    upstream = Upstream(connections=5, resolver=lambda: names)
    await upstream.open()
    async with Engine(HELLO.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n")) as engine:
        engine.endpoint = Endpoint(
            id="e", address=f"http://engine.example:{engine.port}", model="m"
        )
        for _ in range(3):
            assert await ask(upstream, engine) == (200, b"Hello")
    await upstream.close()

    assert (engine.connections, names.asked) == (3, 1)
    assert b"host: engine.example:" in engine.requests[0][0]


@pytest.fixture
def certificate(tmp_path):
    """Return the TLS context of a server, and the file of its certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "engine.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(secret + signed.public_bytes(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    return context, file


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_an_engine_behind_tls_is_known_by_its_certificate(
    upstream, certificate, monkeypatch, is_trusted
):
    context, file = certificate
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    connections.tls.cache_clear()
    async with Engine(CHUNKED, tls=context) as engine:
        if is_trusted:
            assert await ask(upstream, engine) == (200, b"Hello World")
        else:
            with pytest.raises(ConnectFailed):
                await ask(upstream, engine)
    connections.tls.cache_clear()
    assert len(engine.requests) == int(is_trusted)


async def test_a_credential_cannot_add_headers(upstream):
    async with Engine(HELLO) as engine:
        for credential in ("a\r\nx-evil: 1", "a\nb", "ü"):
            engine.endpoint = Endpoint(
                id="e", address=engine.endpoint.address, model="m", credential=credential
            )
            with pytest.raises(UpstreamError):
                await ask(upstream, engine)
        assert not engine.requests
