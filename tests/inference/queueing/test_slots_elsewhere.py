"""Fallbacks and hedged requests take slots in the pools in which they run."""

import asyncio
import random
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from inference.fleet.balancer import EndpointBalancer
from inference.fleet.in_flight import InFlight
from inference.fleet.snapshot import Endpoint, FleetReference, Pool
from inference.queueing.dispatcher import Dispatcher
from inference.relay.fallback import Fallbacks
from inference.relay.relay import Relay
from inference.relay.route_trace import RouteTrace
from inference.relay.upstream import Upstream
from inference.relay.watchdog import Watchdog
from kernel.errors import Overloaded, PlatformError
from tests.fakes.model_server import Behaviour, Fault, ModelServer, Outcome
from tests.fixtures.gateway import eventually
from tests.inference.queueing.test_slots_released import ASKED, PATH

NOWHERE = "http://127.0.0.1:9"
REFUSES = Behaviour(fault=Fault.REFUSES, status=503)
FAILS = Behaviour(fault=Fault.REFUSES, status=500)


def pool(name, *addresses, **facts):
    endpoints = tuple(
        Endpoint(id=f"{name}-{number}", address=address, model="tiny")
        for number, address in enumerate(addresses)
    )
    return Pool(name=name, engine="vllm", endpoints=endpoints, **{"queue_length": 100, **facts})


class Rig:
    """Dispatcher, fallbacks and relay of a worker."""

    def __init__(self, upstream, watch):
        self.in_flight = InFlight()
        self.balancer = EndpointBalancer(self.in_flight, rng=random.Random(7))
        relay = Relay(upstream=upstream, balancer=self.balancer, watch=watch, rng=random.Random(7))
        self.dispatcher = Dispatcher(relay, fleet=FleetReference())
        self.opener = Fallbacks(self.dispatcher, balancer=self.balancer, budget=relay.budget)

    async def ask(self, route_trace):
        read = b""
        try:
            async with await self.opener.open(route_trace, PATH, lambda _: ASKED) as exchange:
                while data := await exchange.read():
                    read += data
        finally:
            if route_trace.slot:
                route_trace.slot.used(prompt_tokens=5, completion_tokens=read.count(b"data:"))
        return read

    def start(self, *pools, tokens=50):
        first, *rest = pools
        route_trace = RouteTrace(first, fallbacks=tuple(rest), tenant_id=1, tokens=tokens)
        return route_trace, asyncio.create_task(self.ask(route_trace))

    async def ask_many(self, *pools, times, pause=0.0):
        """Return the outcome of each request."""
        ends = []
        for _ in range(times):
            _, task = self.start(*pools)
            try:
                ends.append(bool(await task))
            except PlatformError as error:
                ends.append(error.code)
            await asyncio.sleep(pause)
        return ends

    def running(self, name):
        return self.dispatcher.running().get(name, 0)

    def counter(self, name):
        """Return the service of the tenant that the pool has counted."""
        return self.dispatcher._pools[name]._counters.of(1, weight=1).value


@asynccontextmanager
async def rig(servers):
    async with AsyncExitStack() as stack:
        upstream = Upstream(connections=100)
        await upstream.open()
        stack.push_async_callback(upstream.close)
        watch = Watchdog()
        looking = asyncio.create_task(watch.run())
        stack.callback(looking.cancel)
        yield Rig(upstream, watch), [await stack.enter_async_context(each) for each in servers]


@pytest.fixture
async def one():
    async with rig([ModelServer()]) as (running, (server,)):
        yield running, server


@pytest.fixture
async def two():
    async with rig([ModelServer(), ModelServer()]) as (running, servers):
        yield running, *servers


async def end(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_fallback_waits_for_its_turn_in_the_pool_that_it_comes_to(one):
    running, server = one
    server.behave(Behaviour(first_token_seconds=5))
    dead, spare = pool("dead", NOWHERE), pool("spare", server.url, max_in_flight=2)

    tasks = [running.start(dead, spare)[1] for _ in range(6)]
    await eventually(lambda: running.dispatcher.waiting().get("spare") == 4)
    await eventually(lambda: len(server.records) == 2)

    assert (running.running("dead"), running.running("spare")) == (0, 2)
    await end(*tasks)
    assert (running.running("spare"), running.dispatcher.waiting()["spare"]) == (0, 0)


async def test_the_pool_that_could_not_serve_charges_nothing(one):
    running, server = one
    dead, spare = pool("dead", NOWHERE), pool("spare", server.url)

    _, task = running.start(dead, spare, tokens=10_000)
    assert await task

    assert running.counter("dead") == 0
    assert 0 < running.counter("spare") < 1000


async def test_the_ledger_tells_of_the_fallback_and_of_both_waits(one):
    running, server = one
    server.behave(Behaviour(first_token_seconds=0.3), Behaviour())
    first = pool("first", server.url, max_in_flight=1, queue_seconds=0.1)
    second = pool("second", server.url, max_in_flight=1)
    _, busy = running.start(first)
    await eventually(lambda: running.running("first") == 1)

    route_trace, task = running.start(first, second)
    assert await task

    decision = route_trace.decision()
    assert decision["fallback"] == "second"
    assert 90 <= decision["waited_ms"] < 300
    await end(busy)


async def test_a_hedge_takes_a_place_of_its_own_until_one_has_answered(two):
    running, one, other = two
    one.behave(Behaviour(tokens=3, first_token_seconds=0.5, token_seconds=0.2))
    other.behave(Behaviour(first_token_seconds=5))
    both = pool("p", one.url, other.url, hedge_after=0.1, max_in_flight=4)

    route_trace, task = running.start(both)
    await eventually(lambda: (running.running("p"), running.in_flight.total()) == (2, 2))
    await eventually(lambda: running.running("p") == 1)
    assert not task.done()
    assert await task

    assert (running.running("p"), running.in_flight.total()) == (0, 0)
    assert route_trace.hedged
    assert running.counter("p") < 50


async def test_where_all_places_are_taken_nobody_is_asked_twice(two):
    running, one, other = two
    for server in (one, other):
        server.behave(Behaviour(first_token_seconds=0.4))
    full = pool("p", one.url, other.url, hedge_after=0.1, max_in_flight=1)

    route_trace, task = running.start(full)
    assert await task

    assert len(one.records) + len(other.records) == 1
    assert not route_trace.hedged


@pytest.mark.parametrize("moment", [0.05, 0.15, 0.25, 0.35])
async def test_a_client_that_leaves_while_two_are_asked_leaves_no_turn(two, moment):
    running, one, other = two
    one.behave(Behaviour(tokens=9, first_token_seconds=0.2, token_seconds=0.1))
    other.behave(Behaviour(first_token_seconds=5))
    both = pool("p", one.url, other.url, hedge_after=0.1, max_in_flight=4)

    _, task = running.start(both)
    await asyncio.sleep(moment)
    await end(task)

    assert (running.running("p"), running.in_flight.total()) == (0, 0)
    await eventually(lambda: {each.outcome for each in one.records} <= {Outcome.ABORTED})


@pytest.mark.slow
async def test_two_pools_that_have_too_much_to_do_see_no_storm(two):
    running, one, other = two
    for server in (one, other):
        server.behave(REFUSES)

    ends = await running.ask_many(
        pool("first", one.url), pool("second", other.url), times=200, pause=0.01
    )

    assert set(ends) == {"overloaded"}
    assert len(one.records) + len(other.records) <= 1.2 * len(ends) + 3


@pytest.mark.slow
@pytest.mark.parametrize("engines", [1, 3])
@pytest.mark.parametrize("behaviour", [FAILS, REFUSES])
async def test_a_pool_whose_engines_all_fail_is_out_and_comes_back(two, engines, behaviour):
    running, one, other = two
    one.behave(behaviour)
    first = pool("first", *[one.url] * engines, eject_seconds=0.5, eject_after=2)
    second = pool("second", other.url)

    ends = await running.ask_many(first, second, times=60)

    assert ends.count(True) >= 60 - 3
    assert len(one.records) < 20, "it is not asked first again and again"
    one.behave(Behaviour())
    await asyncio.sleep(1.1)
    before = len(other.records)
    assert set(await running.ask_many(first, second, times=10)) == {True}
    assert len(other.records) <= before + 2


@pytest.mark.slow
async def test_who_has_waited_in_vain_for_a_first_token_does_not_wait_again(two):
    running, one, other = two
    one.behave(Behaviour(fault=Fault.STALLS))

    ends = await running.ask_many(
        pool("first", one.url, first_token_timeout=2.0), pool("second", other.url), times=1
    )

    assert ends == ["upstream_timeout"]
    assert (len(one.records), len(other.records)) == (1, 0)


async def test_without_another_pool_it_is_asked_however_badly_it_does(one):
    running, server = one
    server.behave(FAILS)

    await running.ask_many(pool("first", server.url), times=20)

    assert len(server.records) == 20


async def test_pools_that_step_in_for_each_other_are_asked_once_each(two):
    running, one, other = two
    first, second = pool("first", one.url), pool("second", other.url)
    for server in (one, other):
        server.behave(REFUSES)

    async with asyncio.timeout(2):
        assert await running.ask_many(first, second, times=1) == ["overloaded"]
        assert await running.ask_many(second, first, times=1) == ["overloaded"]

    assert len(one.records) + len(other.records) <= 4


async def test_a_full_pool_and_a_full_fallback_refuse(one):
    running, server = one
    server.behave(Behaviour(first_token_seconds=5))
    pools = [
        pool(name, server.url, max_in_flight=1, queue_length=0) for name in ("first", "second")
    ]
    tasks = [running.start(*pools)[1] for _ in range(2)]
    await eventually(lambda: len(server.records) == 2)

    with pytest.raises(Overloaded):
        await running.start(*pools)[1]

    assert (running.running("first"), running.running("second")) == (1, 1)
    await end(*tasks)
