"""An engine stays registered, also after outages of the console."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from inference.engines.engine import EngineLoad
from inference.engines.registration import (
    ConsoleClient,
    Details,
    RegistrationKeeper,
    RegistrationRefused,
)

DETAILS = Details(
    address="http://127.0.0.1:8090",
    model="smollm2",
    engine="llamacpp",
    engine_version="1",
    max_concurrency=4,
    credential="engine-key",
)
TOKEN = "tnj_token"


class FakeConsole:
    """A fake console that records requests."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.heard: list[tuple[str, object]] = []
        self.failures = 0
        self.taken = ""
        self.app = web.Application(middlewares=[self.misbehave])
        self.app.add_routes(
            [
                web.post("/internal/v1/endpoints", self.register),
                web.post("/internal/v1/endpoints/{id}/heartbeat", self.heartbeat),
                web.delete("/internal/v1/endpoints/{id}", self.deregister),
            ]
        )

    @web.middleware
    async def misbehave(self, request, handler):
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if self.taken:
            error = {"error": {"message": self.taken, "code": "address_taken"}}
            return web.json_response(error, status=409)
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        return await handler(request)

    async def register(self, request: web.Request) -> web.Response:
        self.heard.append(("register", await request.json()))
        name = f"e{len(self.heard)}"
        self.known.add(name)
        answer = {"id": name, "heartbeat_seconds": 0.05, "expires_seconds": 1.0}
        return web.json_response(answer, status=201)

    async def heartbeat(self, request: web.Request) -> web.Response:
        self.heard.append(("heartbeat", await request.json()))
        return web.Response(status=200 if request.match_info["id"] in self.known else 404)

    async def deregister(self, request: web.Request) -> web.Response:
        self.heard.append(("deregister", request.match_info["id"]))
        self.known.discard(request.match_info["id"])
        return web.Response(status=204)

    def count(self, what: str) -> int:
        return sum(kind == what for kind, _ in self.heard)


@pytest.fixture
async def console() -> FakeConsole:
    return FakeConsole()


@pytest.fixture
async def url(console: FakeConsole) -> AsyncIterator[str]:
    runner = web.AppRunner(console.app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def busy() -> EngineLoad:
    return EngineLoad(running=2, waiting=1)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def registration(
    session: aiohttp.ClientSession, url: str, *, token: str = TOKEN, **more: object
) -> RegistrationKeeper:
    console = ConsoleClient(session=session, url=url, token=token)
    return RegistrationKeeper(console=console, details=DETAILS, **({"read_load": busy} | more))


async def until(condition) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def end(task: asyncio.Task) -> None:
    task.cancel()
    await asyncio.wait({task})


async def test_it_tells_the_console_everything_it_needs(console, url, session):
    task = asyncio.create_task(registration(session, url).keep())
    await until(lambda: console.known)
    await end(task)
    assert console.heard[0] == ("register", DETAILS.as_json())


async def test_heartbeats_carry_the_load(console, url, session):
    task = asyncio.create_task(registration(session, url).keep())
    await until(lambda: console.count("heartbeat") > 1)
    await end(task)
    assert ("heartbeat", {"running": 2, "waiting": 1}) in console.heard


async def test_a_console_that_forgot_it_is_told_again(console, url, session):
    task = asyncio.create_task(registration(session, url).keep())
    await until(lambda: console.known)
    console.known.clear()
    await until(lambda: console.count("register") == 2)
    await end(task)


async def test_it_deregisters_when_it_is_cancelled(console, url, session):
    task = asyncio.create_task(registration(session, url).keep())
    await until(lambda: console.known)
    await end(task)
    assert console.known == set()
    assert console.heard[-1][0] == "deregister"


async def test_a_console_that_fails_is_asked_again(console, url, session):
    console.failures = 1
    task = asyncio.create_task(registration(session, url).keep())
    await until(lambda: console.known)
    await end(task)


async def test_an_outage_between_heartbeats_is_survived(console, url, session):
    task = asyncio.create_task(registration(session, url).keep())
    await until(lambda: console.count("heartbeat") == 1)
    console.failures = 3
    await until(lambda: console.count("heartbeat") == 4)
    await end(task)
    assert console.count("register") == 1


async def test_a_console_that_is_away_at_first_is_waited_for(session, unused_tcp_port):
    task = asyncio.create_task(registration(session, f"http://127.0.0.1:{unused_tcp_port}").keep())
    await asyncio.sleep(0.1)
    console = FakeConsole()
    runner = web.AppRunner(console.app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    await until(lambda: console.known)
    await end(task)
    await runner.cleanup()


async def test_a_wrong_token_is_not_tried_again(url, session):
    with pytest.raises(RegistrationRefused, match="TENANTRY_JOIN_TOKEN"):
        await registration(session, url, token="tnj_wrong").keep()


async def test_an_address_that_another_engine_holds_is_waited_for(console, url, session, caplog):
    console.taken = "Another engine is registered there."
    task = asyncio.create_task(registration(session, url).keep())
    await until(lambda: "trying again: Another engine is registered there." in caplog.text)
    console.taken = ""
    await until(lambda: console.known)
    await end(task)


async def test_an_engine_that_is_silent_sends_no_heartbeat(console, url, session):
    async def silent() -> EngineLoad:
        raise aiohttp.ClientConnectionError

    task = asyncio.create_task(registration(session, url, read_load=silent).keep())
    await until(lambda: console.known)
    await asyncio.sleep(0.2)
    await end(task)
    assert console.count("heartbeat") == 0


async def test_the_ready_file_is_there_while_it_is_registered(
    console, url, session, tmp_path: Path
):
    ready = tmp_path / "ready"
    task = asyncio.create_task(registration(session, url, ready_file=ready).keep())
    await until(ready.exists)
    await end(task)
    assert not ready.exists()


def test_the_credential_is_in_no_log():
    assert "engine-key" not in repr(DETAILS)
