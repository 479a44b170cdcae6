"""Thousands of requests that are cancelled at any point leave no slot and no queue entry."""

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from inference.fleet.balancer import EndpointBalancer
from inference.fleet.in_flight import InFlight
from inference.fleet.snapshot import Endpoint, FleetReference, Pool
from inference.queueing.dispatcher import Dispatcher
from inference.relay.relay import Relay
from inference.relay.route_trace import RouteTrace
from inference.relay.upstream import Upstream
from inference.relay.watchdog import Watchdog
from kernel.errors import Overloaded, PlatformError, UpstreamError
from tests.fakes.model_server import Behaviour, Fault, ModelServer
from tests.fixtures.gateway import eventually

PATH = "/v1/chat/completions"
ASKED = b'{"model":"tiny","stream":true,"messages":[{"role":"user","content":"hi"}]}'


class Rig:
    """A dispatcher in front of a real server."""

    def __init__(self, server, upstream, **facts):
        endpoint = Endpoint(id="e", address=server.url, model="tiny", max_concurrency=8)
        self.server = server
        self.pool = Pool(
            name="tiny", engine="vllm", endpoints=(endpoint,), **{"queue_length": 400, **facts}
        )
        self.in_flight = InFlight()
        relay = Relay(
            upstream=upstream,
            balancer=EndpointBalancer(self.in_flight, rng=random.Random(7)),
            watch=Watchdog(),
            rng=random.Random(7),
        )
        self.dispatcher = Dispatcher(relay, fleet=FleetReference())

    def route_trace(self, tenant_id=1, **facts):
        return RouteTrace(self.pool, tenant_id=tenant_id, tokens=50, **facts)

    async def ask(self, route_trace):
        """Send a request and report its usage, as doors do."""
        read = b""
        try:
            async with await self.dispatcher.open(route_trace, PATH, lambda _: ASKED) as exchange:
                while data := await exchange.read():
                    read += data
        finally:
            if route_trace.slot:
                route_trace.slot.used(prompt_tokens=5, completion_tokens=read.count(b"data:"))
        return read

    @property
    def queue(self):
        return self.dispatcher._pools["tiny"]

    def left(self):
        """Return all slots, queue entries, leases and counters that are in use."""
        counters = self.queue._counters._counters.values()
        pending = [(each.running, each._pending) for each in counters]
        counts = (self.queue.running, self.queue.waiting, self.in_flight.total())
        return counts, {each for each in pending if each != (0, 0.0)}


NOTHING = ((0, 0, 0), set())


@asynccontextmanager
async def rig(**facts):
    async with ModelServer() as server:
        upstream = Upstream(connections=100)
        await upstream.open()
        yield Rig(server, upstream, **facts)
        await upstream.close()


KINDS = [
    *[Behaviour(tokens=4)] * 4,
    Behaviour(tokens=50, token_seconds=0.001),
    Behaviour(first_token_seconds=0.02),
    Behaviour(fault=Fault.REFUSES, status=503),
    Behaviour(fault=Fault.CLOSES),
    Behaviour(fault=Fault.DIES_AFTER, after_chunks=2),
]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_two_thousand_requests_stopped_anywhere_leave_nothing(seed):
    rng = random.Random(seed)
    ends = {"answered": 0, "stopped": 0, "refused": 0}

    async def ask(running):
        try:
            async with asyncio.timeout(rng.choice([0, rng.random() * 0.05, rng.random() * 2])):
                await running.ask(running.route_trace(rng.randint(1, 9), weight=rng.randint(1, 4)))
            ends["answered"] += 1
        except TimeoutError:
            ends["stopped"] += 1
        except PlatformError:
            ends["refused"] += 1

    async with rig(queue_seconds=0.8, queue_length=60) as running:
        running.server.behave(*rng.choices(KINDS, k=2000))
        tasks = []
        for _ in range(2000):
            tasks.append(asyncio.create_task(ask(running)))
            if rng.random() < 0.1:
                await asyncio.sleep(rng.random() * 0.02)
            if rng.random() < 0.1:
                rng.choice(tasks).cancel()
            running.dispatcher.tick(asyncio.get_running_loop().time())
        await asyncio.gather(*tasks, return_exceptions=True)

        assert running.left() == NOTHING
        assert min(ends.values()) > 50
        running.server.behave(Behaviour())
        assert await running.ask(running.route_trace())


async def test_a_turn_that_comes_as_its_client_leaves_goes_to_the_next():
    async with rig() as running:
        running.server.behave(Behaviour(first_token_seconds=5))
        first = [asyncio.create_task(running.ask(running.route_trace())) for _ in range(8)]
        await eventually(lambda: running.dispatcher.running().get("tiny") == 8)
        running.server.behave(Behaviour())
        second = asyncio.create_task(running.ask(running.route_trace(2)))
        third = asyncio.create_task(running.ask(running.route_trace(3)))
        while running.queue.waiting < 2:
            await asyncio.sleep(0)
        # In one step of the loop a slot is released and granted to the second, which is cancelled.
        running.queue.renew(
            replace(
                running.pool, endpoints=(replace(running.pool.endpoints[0], max_concurrency=9),)
            )
        )
        running.queue.advance()
        second.cancel()

        assert await asyncio.wait_for(third, 3)
        for task in first:
            task.cancel()
        await asyncio.gather(*first, second, return_exceptions=True)
        assert running.left() == NOTHING


async def test_a_turn_is_given_back_once_whoever_says_so_how_often():
    async with rig() as running:
        route_trace = running.route_trace()
        await running.ask(route_trace)

        route_trace.slot.release()
        route_trace.slot.used(prompt_tokens=10**6, completion_tokens=0)

        assert running.left() == NOTHING
        assert route_trace.slot.counter.value < 1000


async def test_a_turn_is_given_back_where_opening_fails_and_nobody_tells_what_was_used():
    async with rig() as running:
        running.server.behave(Behaviour(fault=Fault.CLOSES))

        with pytest.raises(UpstreamError):
            await running.dispatcher.open(running.route_trace(), PATH, lambda _: ASKED)

        assert running.left() == NOTHING


async def test_who_waited_too_long_is_refused_and_never_sent():
    async with rig(queue_seconds=0.1) as running:
        running.server.behave(Behaviour(first_token_seconds=5))
        tasks = [asyncio.create_task(running.ask(running.route_trace())) for _ in range(20)]
        with pytest.raises(Overloaded):
            await asyncio.gather(*tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert len(running.server.records) == 8
        assert running.left() == NOTHING


async def test_cancelled_requests_leave_the_queue_within_three_rounds_of_the_loop():
    async with rig() as running:
        running.server.behave(Behaviour(first_token_seconds=5))
        tasks = [asyncio.create_task(running.ask(running.route_trace())) for _ in range(100)]
        await eventually(lambda: running.dispatcher.waiting().get("tiny") == 92)

        for task in tasks:
            task.cancel()
        for _ in range(3):
            await asyncio.sleep(0)

        assert running.queue.waiting == 0
        await asyncio.gather(*tasks, return_exceptions=True)
        assert running.left() == NOTHING
