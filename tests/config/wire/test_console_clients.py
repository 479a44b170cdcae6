"""The console's server, as a process: clients that drip are cut, and sockets are refused."""

import os
import socket
import subprocess
import sys
import time

import pytest

from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.processes import CHECKOUT

PROGRAM = """
import sys
from daphne.cli import CommandLineInterface
from config.console import connection_limits
from config import client_limits
connection_limits.HEAD_TIMEOUT_SECONDS = client_limits.BODY_TIMEOUT_SECONDS = 1.0
connection_limits.MAX_BODY_BYTES = 100_000
connection_limits.limit_clients()

async def application(scope, receive, send):
    if scope["type"] != "http":
        from kernel.asgi import refuse_socket
        await refuse_socket(scope, receive, send)
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})

sys.modules["it"] = sys.modules["__main__"]
CommandLineInterface().run(["-b", "127.0.0.1", "-p", sys.argv[1], "it:application"])
"""
POST = b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: %d\r\n\r\n"
SOCKET = (
    b"GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    number = free_port()
    paths = os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "platform")))
    log = tmp_path_factory.mktemp("console") / "log"
    with log.open("wb") as output, subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(number)],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=output,
        stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            wait_until_served(number, process, log)
            yield number
        finally:
            process.terminate()


def wait_until_served(number, process, log):
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            socket.create_connection(("127.0.0.1", number), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"the server does not listen: {log.read_text()[-2000:]}")


def drip(port, begin, piece=b"a", pause=0.1) -> bytes:
    """The answer to a client that sends a piece now and then."""
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(begin)
        client.settimeout(pause)
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            try:
                return client.recv(4096)
            except TimeoutError:
                client.sendall(piece)
    raise AssertionError("it was never cut")


@pytest.mark.slow
@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\nx: ", POST % 60_000], ids=["head", "body"])
def test_a_client_that_drips_is_cut(port, begin):
    assert drip(port, begin).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_is_too_large_is_refused_before_it_is_kept(port):
    assert drip(port, POST % 10_000_000, b"a" * 65_536).startswith(b"HTTP/1.1 413 ")


def test_requests_one_after_another_on_a_connection_are_served(port):
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        for pause in (0.0, 1.3, 0.0):
            time.sleep(pause)
            client.sendall(POST % 2 + b"ab")
            assert b" 200 " in client.recv(4096)


def test_a_socket_is_refused(port):
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        client.sendall(SOCKET)
        assert client.recv(4096).startswith(b"HTTP/1.1 403 ")
