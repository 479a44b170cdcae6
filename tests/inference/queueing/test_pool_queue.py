"""Queued requests from the client's side, with a real gateway and a fake engine."""

import asyncio
import json
import time

import aiohttp
import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from inference.endpoints import states as endpoint_states
from inference.models import ModelEndpoint, ModelPool
from tests.fakes.model_server import Behaviour, ModelServer, Outcome
from tests.fixtures.gateway import eventually, in_database, ledger

SLOTS = 2


def limit(*, slots=SLOTS, **facts):
    """Set the slots and other settings of the pool `tiny`."""
    endpoint = ModelEndpoint.objects.get(pool__name="tiny")
    endpoint.max_concurrency = slots
    static_endpoints.save_endpoint(endpoint=endpoint)
    pool = ModelPool.objects.get(name="tiny")
    for name, value in facts.items():
        setattr(pool, name, value)
    inference.save_pool(pool=pool)


@pytest.fixture
async def limited(gateway, tiny):
    """A function that limits the pool and waits until the gateway has loaded the change."""

    async def do(**facts):
        await in_database(limit, **facts)
        await gateway.worker.follower.catch_up()

    await do()
    return do


def waiting(gateway):
    return gateway.worker.dispatcher.waiting().get("tiny", 0)


def running(gateway):
    return gateway.worker.dispatcher.running().get("tiny", 0)


async def fill(gateway, engine, member, *, seconds=60.0, requests=SLOTS):
    """Start requests that take `seconds`, and wait until all of them run."""
    engine.behave(Behaviour(first_token_seconds=seconds))
    tasks = [asyncio.create_task(gateway.chat(member)) for _ in range(requests)]
    await eventually(lambda: len(engine.records.working) == requests)
    return tasks


async def drop(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_requests_beyond_the_pools_places_wait_and_are_answered(
    gateway, acme, engine, limited
):
    engine.behave(Behaviour(first_token_seconds=0.05))
    most = 0

    async def watch():
        nonlocal most
        while True:
            most = max(most, gateway.worker.in_flight.total())
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*(gateway.chat(acme) for _ in range(20)))
    watching.cancel()

    assert {answer.status for answer in answers} == {200}
    assert most == SLOTS
    assert (waiting(gateway), running(gateway)) == (0, 0)


async def test_the_ledger_tells_how_long_a_request_waited(gateway, acme, engine, limited):
    await limited(slots=1)
    engine.behave(Behaviour(first_token_seconds=0.3))

    await asyncio.gather(*(gateway.chat(acme) for _ in range(2)))

    first, second = await ledger(rows=2)
    assert "waited_ms" not in first.decision
    assert 200 < second.decision["waited_ms"] < 2000


@pytest.mark.slow
async def test_a_full_queue_refuses_with_the_time_in_which_it_moves(gateway, acme, engine, limited):
    await limited(queue_length=10)
    engine.behave(Behaviour(first_token_seconds=0.5))
    await asyncio.gather(*(gateway.chat(acme) for _ in range(SLOTS)))
    tasks = [asyncio.create_task(gateway.chat(acme)) for _ in range(SLOTS + 10)]
    await eventually(lambda: waiting(gateway) == 10)

    started = time.monotonic()
    answer = await gateway.chat(acme)
    ended_before = sum(task.done() for task in tasks)
    answers = await asyncio.gather(*tasks)
    drained = time.monotonic() - started

    assert (answer.status, answer.error["code"]) == (503, "overloaded")
    assert answer.error["type"] == "overloaded_error"
    assert int(answer.headers["retry-after-ms"]) / 1000 == pytest.approx(drained, rel=0.35)
    assert ended_before <= SLOTS, "at once: it did not wait until the queue had moved"
    assert {each.status for each in answers} == {200}


@pytest.mark.slow
async def test_a_tenant_that_fills_the_queue_leaves_room_for_others(
    gateway, acme, rival, engine, limited
):
    await limited(queue_length=4)
    engine.behave(Behaviour(first_token_seconds=1.5))
    flood = [asyncio.create_task(gateway.chat(acme)) for _ in range(SLOTS + 8)]
    # All have arrived: some run, some are queued, and the rest are rejected.
    await eventually(lambda: sum(task.done() for task in flood) == 4)
    assert waiting(gateway) == 4

    answers = await asyncio.gather(*(gateway.chat(rival) for _ in range(2)))

    assert {answer.status for answer in answers} == {200}
    assert sorted(answer.status for answer in await asyncio.gather(*flood)) == [200] * 4 + [503] * 6


async def test_nobody_waits_longer_than_the_pool_allows(gateway, acme, engine, limited):
    await limited(queue_seconds=0.4)
    tasks = await fill(gateway, engine, acme)

    started = time.monotonic()
    answer = await gateway.chat(acme)

    assert time.monotonic() - started > 0.35
    assert (answer.status, answer.error["code"]) == (503, "overloaded")
    assert "in time" in answer.error["message"]
    assert int(answer.headers["retry-after"]) >= 1
    assert waiting(gateway) == 0
    await drop(tasks)


async def test_a_pool_may_let_nobody_wait(gateway, acme, engine, limited):
    await limited(queue_length=0)
    tasks = await fill(gateway, engine, acme)

    assert (await gateway.chat(acme)).status == 503
    await drop(tasks)


async def test_a_client_that_leaves_the_queue_is_forgotten_and_never_sent(
    gateway, acme, engine, limited
):
    tasks = await fill(gateway, engine, acme)
    async with aiohttp.ClientSession() as client:
        asked = {"model": "tiny", "messages": [{"role": "user", "content": "who left"}]}
        url = f"{gateway.url}/v1/chat/completions"
        request = asyncio.create_task(client.post(url, json=asked, headers=acme.bearer))
        await eventually(lambda: waiting(gateway) == 1)
        await asyncio.sleep(0.1)  # the gateway does not detect it earlier

        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await eventually(lambda: waiting(gateway) == 0, within=30)

    assert running(gateway) == SLOTS, "it left before a place became free"
    await drop(tasks)
    await eventually(lambda: running(gateway) == 0)
    assert (await gateway.chat(acme, max_tokens=1, content="[fake first_token_seconds=0]")).status
    assert "who left" not in str([record.body for record in engine.records])
    assert [event.status for event in await ledger(rows=4)][:1] == ["client_left"]


@pytest.mark.slow
async def test_a_stream_that_waits_is_kept_alive_and_told_why_it_ended(
    gateway, acme, engine, limited, monkeypatch
):
    monkeypatch.setattr("agents.doors.base.event_sink.KEEP_ALIVE_SECONDS", 0.3)
    await limited(queue_seconds=2.5)
    tasks = await fill(gateway, engine, acme)

    answer = await gateway.chat(acme, stream=True)

    assert answer.status == 200
    assert answer.body.startswith(b": keep-alive\n\n")
    assert json.loads(answer.events[0])["error"]["code"] == "overloaded"
    assert answer.events[-1] == "[DONE]"
    await drop(tasks)


async def test_a_place_that_is_added_is_taken_by_those_that_wait(gateway, acme, engine, limited):
    tasks = await fill(gateway, engine, acme)
    asked = asyncio.create_task(gateway.chat(acme, content="[fake first_token_seconds=0]"))
    await eventually(lambda: waiting(gateway) == 1)

    await limited(slots=SLOTS + 1)

    assert (await asked).status == 200
    await drop(tasks)


async def test_a_pool_whose_endpoints_all_go_refuses_those_that_wait(
    gateway, acme, engine, limited
):
    tasks = await fill(gateway, engine, acme)
    asked = asyncio.create_task(gateway.chat(acme))
    await eventually(lambda: waiting(gateway) == 1)

    await in_database(
        lambda: endpoint_states.drain_endpoint(
            endpoint=ModelEndpoint.objects.get(pool__name="tiny")
        )
    )
    await gateway.worker.follower.catch_up()

    assert (await asked).error["code"] == "no_endpoint_available"
    await drop(tasks)


async def test_engines_are_told_whose_turn_it_is_where_they_want_to_know(
    gateway, acme, rival, engine, limited
):
    await limited(slots=100, sends_priority=True)
    tasks = await fill(gateway, engine, acme, requests=20)
    engine.behave(Behaviour())

    await gateway.chat(rival)
    *flood, last = [record.body["priority"] for record in engine.records]

    assert flood == sorted(flood)
    assert last < flood[-1]
    await drop(tasks)


async def test_engines_are_told_nothing_where_they_do_not(gateway, acme, engine, limited):
    await gateway.chat(acme)

    assert "priority" not in engine.records.last.body


async def test_a_client_does_not_choose_its_priority(gateway, acme, engine, limited):
    await limited(sends_priority=True)

    refused = await gateway.chat(acme, priority=-5)
    await gateway.chat(acme)

    assert (refused.status, refused.error["param"]) == (400, "priority")
    assert [record.body["priority"] > 0 for record in engine.records] == [True]


async def test_the_depth_of_the_queue_is_measured(gateway, acme, engine, limited):
    tasks = await fill(gateway, engine, acme)
    asked = asyncio.create_task(gateway.chat(acme))
    await eventually(lambda: waiting(gateway) == 1)

    shown = (await gateway.get(None, "/metrics")).body.decode()
    await drop([*tasks, asked])

    assert 'tenantry_queue_depth{pool="tiny"} 1.0' in shown
    await eventually(lambda: waiting(gateway) == 0)


async def test_a_pool_with_another_queue_is_not_held_up(gateway, acme, engine, limited):
    tasks = await fill(gateway, engine, acme)
    async with ModelServer(models=("other",)) as second:
        await in_database(serve_other, second.url)
        await gateway.worker.follower.catch_up()

        assert (await gateway.chat(acme, model="other")).status == 200
        assert second.records.last.outcome is Outcome.FINISHED
    await drop(tasks)


def serve_other(address):
    pool = inference.create_pool(name="other", engine="vllm")
    static_endpoints.add_static_endpoint(pool=pool, address=address, model="other")
    inference.create_route(name="other", pool=pool)
