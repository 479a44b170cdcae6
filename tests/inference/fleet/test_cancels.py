"""Thousands of requests that are cancelled at any point, on two workers, leave nothing behind.

Before the first byte, in the middle, in a queue, while something is tried again, hedged, or sent to
another pool: by HTTP and on sockets, with engines that fail in every way.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from inference.models import ModelPool, ModelRoute, RouteTarget
from tenants.models import UsageEvent
from tests.agents.doors.websocket.test_socket import TERMINAL
from tests.fakes.model_server import Behaviour, Fault, ModelServer
from tests.fixtures.database.books import assert_balance
from tests.fixtures.gateway import eventually, in_database, running_gateway
from tests.fixtures.limits.limits import own_quota, own_rate

pytestmark = pytest.mark.slow

AT_ONCE = 40
FLAWS = (
    *(Behaviour(tokens=5),) * 3,
    Behaviour(tokens=5, token_seconds=0.01),
    Behaviour(tokens=40, token_seconds=0.01),
    Behaviour(tokens=3, first_token_seconds=0.05),
    Behaviour(tokens=3, first_token_seconds=0.2),
    Behaviour(fault=Fault.STALLS),
    Behaviour(fault=Fault.STALLS_AFTER, after_chunks=2),
    Behaviour(fault=Fault.CLOSES),
    Behaviour(fault=Fault.REFUSES, status=500),
    Behaviour(fault=Fault.REFUSES, status=503),
    Behaviour(fault=Fault.REFUSES, status=400),
    Behaviour(fault=Fault.DIES_AFTER, after_chunks=1),
    Behaviour(fault=Fault.GARBAGE),
)
IMPATIENT = {"first_token_timeout": 0.3, "token_timeout": 1, "eject_seconds": 1, "eject_after": 9}
ROUTES = ("plain", "hedged", "queued", "falling")


def make_routes(urls):
    """Each way to send a request, to the same engines."""
    pools = {
        "plain": {"strategy": "two_choices"},
        "hedged": {"strategy": "lowest_latency", "hedge_after": 0.1},
        "queued": {"strategy": "round_robin", "max_in_flight": 3, "queue_seconds": 1},
        "falling": {"max_in_flight": 2, "queue_length": 0},
    }
    for name, facts in pools.items():
        pool = inference.create_pool(name=name, engine="vllm", **IMPATIENT, **facts)
        inference.create_route(name=name, pool=pool)
        for url in ("http://127.0.0.1:9", *urls[:1]) if name == "falling" else urls:
            static_endpoints.add_static_endpoint(pool=pool, address=url, model="tiny")
    route = ModelRoute.objects.get(name="falling")
    RouteTarget.objects.create(route=route, pool=ModelPool.objects.get(name="queued"))
    inference.save_pool(pool=ModelPool.objects.get(name="queued"))


def limit_everything(member):
    """Set limits, so that each request has holds and counters in Redis."""
    own_rate(member.tenant, requests_per_minute=10**6, concurrency=1000)
    own_quota(member.tenant, unit="tokens", limit=10**9, now=datetime.now(UTC))


@pytest.fixture
async def three():
    async with ModelServer() as one, ModelServer() as two, ModelServer() as other:
        yield [one, two, other]


@pytest.fixture
async def workers(acme, rival, three):
    await in_database(make_routes, [server.url for server in three])
    for member in (acme, rival):
        await in_database(limit_everything, member)
    async with running_gateway() as one, running_gateway() as two:
        yield [one, two]


async def ask_by_http(gateway, member, route, *, stream):
    status = (await gateway.chat(member, model=route, stream=stream)).status
    return "answered" if status == 200 else status


async def ask_on_a_socket(gateway, member, route):
    url = gateway.url.replace("http", "ws") + "/ws/v1/responses"
    async with connect(url, additional_headers=member.bearer, close_timeout=0.1) as connection:
        frame = {"type": "response.create", "model": route, "input": "hi"}
        try:
            await connection.send(json.dumps(frame))
            while (event := json.loads(await connection.recv()))["type"] not in TERMINAL:
                continue
        except asyncio.CancelledError:
            connection.transport.abort()
            raise
        return "answered" if event["type"] == "response.completed" else event["type"]


class Crowd:
    """Clients that cancel at random times."""

    def __init__(self, workers, members):
        self._rng = random.Random(20261121)
        self._workers, self._members = workers, members
        self.ends = Counter()

    async def ask(self):
        rng = self._rng
        asked = (rng.choice(self._workers), rng.choice(self._members), rng.choice(ROUTES))
        ask = ask_on_a_socket(*asked)
        if rng.random() < 0.85:
            ask.close()
            ask = ask_by_http(*asked, stream=rng.random() < 0.5)
        try:
            async with asyncio.timeout(rng.random() ** 2 * self._patience()):
                self.ends[await ask] += 1
        except TimeoutError:
            self.ends["stopped"] += 1

    def _patience(self):
        """Return the seconds until the cancellation, more on a slow machine."""
        return 0.6 if self.ends["answered"] >= self.ends.total() / 5 else 2.4

    async def ask_many(self, requests):
        async def client():
            while self.ends.total() < requests:
                with contextlib.suppress(aiohttp.ClientError, OSError, WebSocketException):
                    await self.ask()

        await asyncio.gather(*(client() for _ in range(AT_ONCE)))


def left_in(worker):
    """Return all resources of requests that a worker still holds, by name."""
    queues = worker.dispatcher._pools.values()
    counters = [counter for each in queues for counter in each._counters._counters.values()]
    candidates = worker.balancer._candidates.values()
    found = {
        "leases": worker.in_flight.total(),
        "in flight": sum(abs(each.in_flight) for each in candidates),
        "trials": sum(each.breaker.trying for each in candidates),
        "turns": sum(worker.dispatcher.running().values()),
        "waiting": sum(worker.dispatcher.waiting().values()),
        "charged": sum(each.running for each in counters) + sum(each._pending for each in counters),
        "watched": len(worker.watchdog._members),
        "holds": len(worker.holds),
    }
    return {name: count for name, count in found.items() if count}


def metered():
    """The events, and the contradictions among them."""
    events = UsageEvent.objects.all()
    ids = Counter(event.request_id for event in events)
    return SimpleNamespace(
        count=len(events),
        twice=[name for name, count in ids.items() if count > 1],
        decisions=[event.decision for event in events],
        pools=Counter(event.pool for event in events),
    )


@pytest.mark.parametrize(
    "requests", [500, pytest.param(5000, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])]
)
async def test_requests_stopped_anywhere_leave_nothing_on_any_worker(
    workers, three, acme, rival, requests
):
    rng = random.Random(7)
    for server in three:
        server.behave(*rng.choices(FLAWS, k=4 * requests))
    crowd = Crowd(workers, (acme, rival))

    await crowd.ask_many(requests)

    for gateway in workers:
        with contextlib.suppress(TimeoutError):
            await eventually(lambda gateway=gateway: not left_in(gateway.worker), within=10)
        assert left_in(gateway.worker) == {}
    for server in three:
        server.behave(Behaviour())
        await server.idle()
    for member in (acme, rival):
        await in_database(assert_balance, member.tenant.pk)
    assert crowd.ends["stopped"] > requests / 5, crowd.ends
    assert crowd.ends["answered"] > requests / 10, crowd.ends
    ledger = await in_database(metered)
    assert ledger.twice == []
    # Each of the ways occurred.
    for way in ("retries", "hedged", "fallback", "waited_ms"):
        assert sum(way in each for each in ledger.decisions) >= requests / 100, way
    for gateway in workers:
        for route in ROUTES:
            assert (await gateway.chat(acme, model=route)).status == 200
