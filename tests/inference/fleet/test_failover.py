"""Replicas die, reject and slow down without errors for clients where possible."""

import asyncio
import json
import random
import time
from contextlib import AsyncExitStack

import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from inference.endpoints import states as endpoint_states
from inference.models import ModelEndpoint, ModelPool, RouteTarget
from tests.fakes.model_server import Behaviour, Fault, ModelServer
from tests.fixtures.cast import add_endpoint, serve
from tests.fixtures.gateway import eventually, in_database, ledger

REFUSES = Behaviour(fault=Fault.REFUSES, status=503)
PAGE = Behaviour(fault=Fault.GARBAGE)


async def replicas(gateway, *servers, **pool):
    """Create the route `tiny` with these endpoints."""
    route = await in_database(serve, servers[0].url, **pool)
    for server in servers[1:]:
        await in_database(add_endpoint, route, server.url)
    await gateway.worker.follower.catch_up()
    return route


async def ask_steadily(gateway, member, *, per_second, seconds):
    """Return the statuses of consecutive requests."""
    tasks = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tasks.append(asyncio.create_task(gateway.chat(member)))
        await asyncio.sleep(1 / per_second)
    return [answer.status for answer in await asyncio.gather(*tasks)]


@pytest.mark.slow
async def test_one_of_three_replicas_dies_and_comes_back(gateway, acme):
    async with ModelServer() as one, ModelServer() as two:
        third = ModelServer()
        await third.__aenter__()
        await replicas(gateway, one, two, third)
        steady = asyncio.create_task(ask_steadily(gateway, acme, per_second=20, seconds=12))
        await asyncio.sleep(1.5)
        await third.__aexit__()
        await eventually(lambda: "open" in breakers(gateway), within=2)
        await asyncio.sleep(1)
        async with ModelServer(port=third._port) as back:
            await eventually(lambda: len(back.records) > 3, within=15)
            statuses = await steady

    assert set(statuses) == {200}
    assert set(breakers(gateway)) == {"closed"}


def breakers(gateway):
    return [each["breaker"] for each in gateway.worker.balancer.report().values()]


async def test_a_stream_that_dies_ends_with_an_error_event(gateway, acme):
    dies = Behaviour(tokens=50, token_seconds=0.02, fault=Fault.DIES_AFTER, after_chunks=5)
    async with ModelServer(behaviour=dies) as one:
        await replicas(gateway, one)
        answer = await gateway.chat(acme, stream=True)

    assert json.loads(answer.events[-2])["error"]["code"] == "upstream_broken"


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("seconds", [4, pytest.param(30, marks=pytest.mark.nightly)])
async def test_retries_are_no_storm(gateway, acme, seconds, status):
    refuses = Behaviour(fault=Fault.REFUSES, status=status)
    async with AsyncExitStack() as stack:
        three = [await stack.enter_async_context(ModelServer(behaviour=refuses)) for _ in range(3)]
        await replicas(gateway, *three)
        statuses = await ask_steadily(gateway, acme, per_second=40, seconds=seconds)

    calls = sum(len(each.records) for each in three)
    assert set(statuses) == {502 if status == 500 else 503}
    assert len(statuses) < calls <= 1.2 * len(statuses)


async def test_an_engine_that_is_busy_is_not_ill(gateway, acme):
    async with ModelServer(behaviour=REFUSES) as one, ModelServer() as two:
        await replicas(gateway, one, two)
        answers = [await gateway.chat(acme) for _ in range(12)]

    assert [each.status for each in answers].count(200) >= 9
    assert {each["breaker"] for each in gateway.worker.balancer.report().values()} == {"closed"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_page_from_what_is_no_engine_is_tried_elsewhere(gateway, acme, stream):
    """A proxy that responds with 200 and an HTML page about maintenance."""
    async with ModelServer(behaviour=PAGE) as one, ModelServer() as two:
        await replicas(gateway, one, two, strategy="round_robin")
        # No more than the initial budget of retries.
        answers = [await gateway.chat(acme, stream=stream) for _ in range(5)]

    assert [each.status for each in answers] == [200] * 5
    assert len(two.records) == 5
    assert len(one.records) in {2, 3}


async def test_what_is_wrong_with_the_request_is_tried_nowhere_else(gateway, acme):
    refuses = Behaviour(fault=Fault.REFUSES, status=400)
    async with ModelServer(behaviour=refuses) as one, ModelServer(behaviour=refuses) as two:
        await replicas(gateway, one, two)
        answer = await gateway.chat(acme)

    assert answer.status == 400
    assert len(one.records) + len(two.records) == 1


async def shares(gateway, member, strategy, *, per_second, fast=2):
    """Return the share of the slow endpoint, measured for three seconds after a warm-up."""
    slow = Behaviour(tokens=2, first_token_seconds=0.5)
    quick = Behaviour(tokens=2, first_token_seconds=0.05)
    async with AsyncExitStack() as stack:
        behaviours = [slow, *[quick] * fast]
        servers = [await stack.enter_async_context(ModelServer(behaviour=b)) for b in behaviours]
        await replicas(gateway, *servers, strategy=strategy)
        await ask_steadily(gateway, member, per_second=per_second, seconds=3)
        before = [len(each.records) for each in servers]
        await ask_steadily(gateway, member, per_second=per_second, seconds=3)
        counts = [len(each.records) - n for each, n in zip(servers, before, strict=True)]
    return counts[0] / sum(counts)


@pytest.mark.slow
@pytest.mark.parametrize("per_second", [5, 40])
async def test_a_replica_ten_times_slower_gets_little_where_latency_counts(
    gateway, acme, per_second
):
    assert await shares(gateway, acme, "lowest_latency", per_second=per_second, fast=1) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["least_requests", "weighted_least_requests", "two_choices"])
async def test_under_load_it_gets_little_where_running_requests_count(gateway, acme, strategy):
    assert await shares(gateway, acme, strategy, per_second=80) < 0.1


async def attempts(gateway):
    """Return the requests to engines, and how many of them failed, as metrics count them."""
    lines = (await gateway.get(None, "/metrics")).body.decode().splitlines()
    return [
        sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}_total{{"))
        for name in ("tenantry_upstream_requests", "tenantry_upstream_errors")
    ]


async def test_each_attempt_at_an_engine_is_counted_and_fails_at_most_once(gateway, acme):
    dies = Behaviour(tokens=50, fault=Fault.DIES_AFTER, after_chunks=5)
    async with ModelServer(behaviour=REFUSES) as one, ModelServer() as two:
        await replicas(gateway, one, two)
        before = await attempts(gateway)
        for behaviour in (None, dies):
            two.behave(behaviour or Behaviour())
            await gateway.chat(acme, stream=True)
        made, failed = (
            now - then for now, then in zip(await attempts(gateway), before, strict=True)
        )

        assert made == len(one.records) + len(two.records)
        assert failed == len(one.records) + 1


async def test_a_hedge_answers_where_the_first_is_silent(gateway, acme):
    silent = Behaviour(first_token_seconds=600)
    async with ModelServer(behaviour=silent) as one, ModelServer(behaviour=silent) as two:
        await replicas(gateway, one, two, hedge_after=0.2)
        asked = asyncio.create_task(gateway.chat(acme))
        await eventually(lambda: len(one.records) + len(two.records) == 1)
        (other,) = (each for each in (one, two) if not len(each.records))
        other.behave(Behaviour(tokens=3))
        answer = await asked

        assert answer.status == 200
        await eventually(lambda: gateway.worker.in_flight.total() == 0)
        (event,) = await ledger()
    assert event.decision["hedged"] is True


def fall_back(route, address):
    pool = inference.create_pool(name="spare", engine="vllm")
    static_endpoints.add_static_endpoint(pool=pool, address=address, model="tiny")
    RouteTarget.objects.create(route=route, pool=pool)
    inference.save_pool(pool=ModelPool.objects.get(name="spare"))


async def test_a_fallback_pool_steps_in(gateway, acme):
    async with ModelServer() as spare:
        route = await in_database(serve, "http://127.0.0.1:9")
        await in_database(fall_back, route, spare.url)
        await gateway.worker.follower.catch_up()

        answer = await gateway.chat(acme)

        (event,) = await ledger()
    assert answer.status == 200
    assert event.pool == "spare"


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
async def test_requests_stopped_anywhere_leave_nothing(gateway, acme, stream):
    rng = random.Random(20261121)
    behaviour = Behaviour(tokens=5, token_seconds=0.01, first_token_seconds=0.01)
    async with ModelServer(behaviour=behaviour) as one, ModelServer(behaviour=behaviour) as two:
        await replicas(gateway, one, two)
        for _ in range(15):
            tasks = [asyncio.create_task(gateway.chat(acme, stream=stream)) for _ in range(40)]
            for task in tasks:
                asyncio.get_running_loop().call_later(rng.random() * 0.15, task.cancel)
            await asyncio.gather(*tasks, return_exceptions=True)
        await eventually(lambda: gateway.worker.in_flight.total() == 0)
        counts = {each["in_flight"] for each in gateway.worker.balancer.report().values()}

    assert counts == {0}


async def test_who_was_left_out_is_kept_with_the_reason(gateway, acme):
    async with ModelServer() as one, ModelServer() as two, ModelServer() as three:
        await replicas(gateway, one, two, three)
        await gateway.chat(acme)
        drained, *_ = ids = await in_database(drain_one)
        await gateway.worker.follower.catch_up()
        pool = gateway.worker.fleet.current.routes["tiny"].pool
        for candidate in gateway.worker.balancer.field(pool).candidates[:1]:
            for _ in range(5):
                gateway.worker.balancer.note_failure(pool, candidate)
        await gateway.chat(acme)
        *_, event = await ledger(rows=2)

    reasons = {each["endpoint"]: each.get("why_not") for each in event.decision["candidates"]}
    assert set(reasons) == set(ids)
    assert (reasons[drained], sorted(map(str, reasons.values()))) == (
        "not_ready",
        ["None", "ejected", "not_ready"],
    )


def drain_one():
    """Return the ids of all endpoints, that of the drained one first."""
    drained, *others = ModelEndpoint.objects.all()
    endpoint_states.drain_endpoint(endpoint=drained)
    return [each.public_id for each in (drained, *others)]


async def test_why_it_went_there_is_kept(gateway, acme):
    async with ModelServer(behaviour=REFUSES) as one, ModelServer() as two:
        await replicas(gateway, one, two)
        asked = 0
        while not len(one.records):
            await gateway.chat(acme)
            asked += 1
        events = await ledger(rows=asked)

    retried = [event.decision for event in events if "retries" in event.decision]
    assert len(retried[0]["candidates"]) == 2
    assert retried[0]["retries"][0]["error"] == "overloaded"
    assert len(retried[0]["chosen"]) == 2
