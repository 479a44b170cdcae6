"""A run in one process, its client in another: resumed, cancelled, seen by several devices."""

import asyncio

import aiohttp
import pytest

from tests.agents.doors.websocket.test_socket import CREATE, socket
from tests.fakes.model_server import Behaviour, Fault, Outcome
from tests.fixtures.gateway import eventually, in_database
from tests.fixtures.runs.runs import (
    TERMINAL,
    begin_conversation,
    frames_of,
    frames_until,
    open_stream,
    output_text,
    run_reaches,
    text_of,
)
from tests.fixtures.servers.processes import gateway_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]


@pytest.fixture
def other(tmp_path, transactional_db):
    """A second gateway, in a process of its own."""
    with gateway_process(tmp_path / "other") as worker:
        yield worker


async def test_a_socket_dropped_in_the_middle_is_resumed_in_another_process(
    gateway, other, acme, engine
):
    engine.behave(Behaviour(tokens=40, token_seconds=0.03))
    async with socket(other, acme) as client:
        await client.say(CREATE)
        frames = await client.hear_until("response.output_text.delta")
        client.connection.transport.abort()
    run_id, last = frames[0]["response"]["id"], frames[-1]["sequence_number"]

    async with socket(gateway, acme) as client:
        await client.say({"type": "response.resume", "response_id": run_id, "starting_after": last})
        frames += await client.hear_until(*TERMINAL)

    whole = frames_of(await gateway.get(acme, f"/v1/responses/{run_id}?stream=true"))
    assert frames == whole
    assert text_of(frames) == output_text(frames[-1]["response"])
    assert text_of(frames) == " ".join(f"tok{n}" for n in range(40))
    assert len(engine.records) == 1


async def test_two_devices_see_the_same_events_in_the_same_order(gateway, other, acme, engine):
    engine.behave(Behaviour(tokens=8, token_seconds=0.02))
    await in_database(begin_conversation, acme)
    subscribe = {"type": "conversation.subscribe", "conversation": "conv_1"}
    create = {**CREATE, "conversation": "conv_1"}

    async with socket(gateway, acme) as phone, socket(other, acme) as laptop:
        for device in (phone, laptop):
            await device.say(subscribe)
            await device.say({"type": "ping"})
            await device.hear_until("pong")
        for device in (phone, laptop, phone):
            await device.say(create)
        on_phone, on_laptop = await asyncio.gather(hear_ends(phone, 3), hear_ends(laptop, 3))

    assert on_phone == on_laptop
    assert len({frame["response"]["id"] for frame in on_phone if "response" in frame}) == 3
    assert len(engine.records) == 3


async def hear_ends(client, count):
    frames = []
    while sum(frame["type"] in TERMINAL for frame in frames) < count:
        frames += await client.hear_until(*TERMINAL)
    return frames


STATES = {
    "streaming": Behaviour(tokens=2000, token_seconds=0.02),
    "waiting for the first token": Behaviour(first_token_seconds=60),
    "talking to an engine that stalls": Behaviour(
        tokens=50, fault=Fault.STALLS_AFTER, after_chunks=2
    ),
}


@pytest.mark.parametrize("state", STATES)
async def test_a_run_is_cancelled_from_another_process_long_before_its_engine_ends(
    gateway, other, acme, engine, state
):
    engine.behave(STATES[state])
    async with aiohttp.ClientSession() as session:
        answer = await open_stream(session, other.url, acme)
        frames = await frames_until(answer, "response.in_progress")
        run_id = frames[0]["response"]["id"]
        await eventually(lambda: len(engine.records) == 1)
        await asyncio.sleep(0.3)

        # Half of what the fastest of these engines would take.
        async with asyncio.timeout(20):
            cancelled = await gateway.post(acme, f"/v1/responses/{run_id}/cancel")
            *_, end = await frames_until(answer, *TERMINAL)
        answer.close()

    assert cancelled.json()["status"] == end["response"]["status"] == "cancelled"
    record = engine.records.rows[0]
    await eventually(lambda: record.outcome is Outcome.ABORTED)
    await run_reaches(run_id, "cancelled")


async def test_a_socket_cancels_a_run_of_another_process(gateway, other, acme, engine):
    engine.behave(Behaviour(tokens=2000, token_seconds=0.02))
    async with socket(other, acme) as first, socket(gateway, acme) as second:
        await first.say(CREATE)
        frames = await first.hear_until("response.output_text.delta")
        run_id = frames[0]["response"]["id"]
        await second.say({"type": "response.cancel", "response_id": run_id})
        *_, end = await first.hear_until(*TERMINAL)

    assert end["response"]["status"] == "cancelled"


async def test_a_worker_that_leaves_lets_its_runs_finish(gateway, other, acme, engine):
    engine.behave(Behaviour(tokens=60, token_seconds=0.03))
    async with socket(other, acme) as client:
        await client.say(CREATE)
        frames = await client.hear_until("response.output_text.delta")
        other.leave()
        assert await closing_code(client) == 1012
    run_id = frames[0]["response"]["id"]

    whole = frames_of(await gateway.get(acme, f"/v1/responses/{run_id}?stream=true"))

    assert whole[-1]["type"] == "response.completed"
    assert text_of(whole) == " ".join(f"tok{n}" for n in range(60))


async def test_a_run_that_does_not_finish_in_time_says_so(tmp_path, gateway, acme, engine):
    engine.behave(Behaviour(tokens=5000, token_seconds=0.03))
    with gateway_process(tmp_path, TENANTRY_DRAIN_SECONDS="1") as worker:
        async with socket(worker, acme) as client:
            await client.say(CREATE)
            frames = await client.hear_until("response.output_text.delta")
            worker.leave()
        run_id = frames[0]["response"]["id"]
        *_, end = frames_of(await gateway.get(acme, f"/v1/responses/{run_id}?stream=true"))

    assert (end["type"], end["response"]["error"]["reason"]) == (
        "response.failed",
        "interrupted",
    )


async def closing_code(client):
    async with asyncio.timeout(10):
        while True:
            try:
                await client.connection.recv()
            except Exception:  # noqa: BLE001 - whatever way it ends, the code says why
                return client.connection.close_code
