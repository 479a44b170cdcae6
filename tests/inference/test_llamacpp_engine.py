"""A real llama.cpp behind `serve_model`: registered while it runs, gone afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from embedded.model import find_model
from tests.embedded.watching import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.model, pytest.mark.timeout(120)]


class ConsoleHandler(BaseHTTPRequestHandler):
    """The console's side of the protocol, as short as it can be."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.heard.append((self.path.rsplit("/", 1)[-1], body))
        self.answer(201, {"id": "e1", "heartbeat_seconds": 0.2, "expires_seconds": 5.0})

    def do_DELETE(self) -> None:
        self.server.heard.append(("delete", None))
        self.answer(204, None)

    def answer(self, status: int, body: object) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Nothing: the test says what matters."""


@pytest.fixture
def console() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ConsoleHandler)
    server.heard = []
    threading.Thread(target=server.serve_forever).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def engine(console: ThreadingHTTPServer) -> Iterator[subprocess.Popen[bytes]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # Without database and secrets, as on a machine that only has a GPU.
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [
            *(sys.executable, "manage.py", "serve_model", "smollm2", "--engine", "llamacpp"),
            *("--model", str(find_model()), "--port", str(port), "--max-concurrency", "2"),
            *("--console", f"http://127.0.0.1:{console.server_port}"),
        ],
        cwd=CHECKOUT,
        env={**kept, "TENANTRY_JOIN_TOKEN": "tnj_x"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: len(console.heard) > 1 or process.poll(), seconds=60)
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def ask(announced: dict, path: str) -> dict:
    request = urllib.request.Request(
        f"{announced['address']}{path}",
        headers={"Authorization": f"Bearer {announced['credential']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_it_registers_serves_and_deregisters(engine, console):
    kind, announced = console.heard[0]
    assert kind == "endpoints"
    assert announced["model"] == "smollm2"
    assert announced["max_concurrency"] == 2
    assert ask(announced, "/v1/models")["data"][0]["id"] == "smollm2"
    assert console.heard[1] == ("heartbeat", {"running": 0, "waiting": 0})
    engine.send_signal(signal.SIGTERM)
    assert engine.wait(timeout=30) == 0
    assert console.heard[-1] == ("delete", None)


def test_an_engine_that_dies_is_deregistered_and_told_of(engine, console):
    (child,) = psutil.Process(engine.pid).children()
    child.kill()
    assert engine.wait(timeout=30) == 1
    assert console.heard[-1] == ("delete", None)
    assert b"The engine was ended by signal 9" in engine.stderr.read()


def test_a_killed_parent_takes_its_engine_along(engine, console):
    (child,) = psutil.Process(engine.pid).children()
    engine.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_nobody_is_served_without_the_credential(engine, console):
    announced = {**console.heard[0][1], "credential": "guess"}
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(announced, "/metrics")
