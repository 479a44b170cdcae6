"""Duration of the draining of an engine."""

import asyncio
import time
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from inference.engines import serving
from inference.engines.engine import EngineRequest
from inference.engines.serving import Service, drain
from inference.engines.vllm import VLLM


class Engine:
    """A fake engine with a configurable load, or an error instead."""

    def __init__(self):
        self.running = 0
        self.status = 200
        self.asked = 0

    async def metrics(self, _):
        self.asked += 1
        return web.Response(status=self.status, text=f"vllm:num_requests_running {self.running}")


@pytest.fixture
async def engine():
    return Engine()


@pytest.fixture
async def drains(engine, monkeypatch, unused_tcp_port):
    monkeypatch.setattr(serving, "LAST_REQUESTS_SECONDS", 0.3)
    app = web.Application()
    app.add_routes([web.get("/metrics", engine.metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    async with aiohttp.ClientSession() as session:
        yield partial(measure, port=unused_tcp_port, session=session)
    await runner.cleanup()


async def measure(*, port, session, seconds=600.0):
    """Drain, and return the duration in seconds.

    A test that waits for `seconds` by mistake reaches its own timeout.
    """
    request = EngineRequest(
        route="r", model="m", host="127.0.0.1", port=port, max_concurrency=1, credential="c"
    )
    service = Service(
        engine=VLLM, request=request, address="", console_url="", join_token="", ready_file=None,
        drain_seconds=seconds,
    )  # fmt: skip
    started = time.monotonic()
    await drain(service, session=session)
    return time.monotonic() - started


async def test_an_idle_engine_is_kept_until_gateways_have_heard(drains):
    assert await drains() >= 0.3


async def test_a_busy_one_until_it_is_idle(drains, engine):
    engine.running = 1
    asyncio.get_running_loop().call_later(1, setattr, engine, "running", 0)

    assert await drains() >= 1


async def test_one_that_does_not_tell_may_be_busy(drains, engine):
    engine.status = 500
    asyncio.get_running_loop().call_later(1, setattr, engine, "status", 200)

    assert await drains() >= 1


async def test_none_is_waited_for_longer_than_was_said(drains, engine):
    engine.running = 1

    assert await drains(seconds=0.8) >= 0.8
    assert engine.running


async def test_one_that_is_not_there_any_more_is_not_waited_for(drains, unused_tcp_port_factory):
    async with aiohttp.ClientSession() as session:
        took = await measure(port=unused_tcp_port_factory(), session=session)

    assert took >= 0.3
