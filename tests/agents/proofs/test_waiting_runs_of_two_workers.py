"""A run that waits in one process and goes on in another; one that is killed after it went on."""

import asyncio

import aiohttp
import pytest
from django.conf import settings

from agents.events.stream import key_of
from agents.models import Item
from agents.tasks import end_dead_runs
from kernel.storage.redis import connect
from tests.agents.proofs.test_runs_of_killed_workers import let_leases_run_out, terminal_events
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import eventually, in_database
from tests.fixtures.runs.runs import (
    TERMINAL,
    begin_conversation,
    frames_of,
    frames_until,
    open_stream,
    output_text,
    respond,
    run_reaches,
    text_of,
)
from tests.fixtures.runs.waiting import decide, employ_careful, seen_until, wants_to_reckon
from tests.fixtures.servers.processes import gateway_process

pytestmark = pytest.mark.slow

PAUSED = "tenantry:response.requires_approval"


@pytest.fixture
def other(tmp_path, transactional_db):
    """A second gateway, in a process of its own."""
    with gateway_process(tmp_path / "other") as worker:
        yield worker


@pytest.fixture
def helper(acme, tiny, engine):
    engine.behave(wants_to_reckon(answer="It is 42."))
    return employ_careful(acme, tiny)


async def first_half(session, worker, member, **body):
    """The frames up to the pause, as `worker` streamed them."""
    answer = await open_stream(session, worker.url, member, model="helper", **body)
    return answer, await frames_until(answer, PAUSED, *TERMINAL)


@pytest.mark.usefixtures("helper")
async def test_a_run_goes_on_in_another_process_after_its_own_is_gone(
    tmp_path, gateway, acme, engine
):
    with gateway_process(tmp_path) as worker:
        async with aiohttp.ClientSession() as session:
            answer, frames = await first_half(session, worker, acme)
            waiting = frames[-1]["response"]
            await run_reaches(waiting["id"], "requires_approval")
            worker.kill()
            answer.close()

    assert (await decide(gateway, acme, waiting)).status == 200
    last = frames[-1]["sequence_number"]
    path = f"/v1/responses/{waiting['id']}?stream=true"
    rest = frames_of(await gateway.get(acme, f"{path}&starting_after={last}"))

    whole = frames_of(await gateway.get(acme, path))
    assert frames + rest == whole
    assert [frame["sequence_number"] for frame in whole] == list(range(len(whole)))
    assert sum(frame["type"] in TERMINAL for frame in whole) == 1
    assert text_of(whole) == output_text(whole[-1]["response"]) == "It is 42."
    assert await in_database(lambda: Item.objects.filter(kind="message").count()) == 2
    assert len(engine.records) == 2


@pytest.mark.usefixtures("helper")
async def test_readers_in_both_processes_hear_all_of_it_in_order(gateway, other, acme, engine):
    async with aiohttp.ClientSession() as session:
        here, frames_here = await first_half(session, gateway, acme)
        waiting = frames_here[-1]["response"]
        path = f"/v1/responses/{waiting['id']}?stream=true"
        there = await session.get(other.url + path, headers=acme.bearer)
        frames_there = await frames_until(there, PAUSED)
        await decide(gateway, acme, waiting)
        frames_here += await frames_until(here, *TERMINAL)
        frames_there += await frames_until(there, *TERMINAL)
        here.close()
        there.close()

    assert frames_here == frames_there
    assert text_of(frames_here) == "It is 42."
    assert len(engine.records) == 2, "two processes were told, one went on"


@pytest.mark.usefixtures("helper")
async def test_many_runs_are_each_taken_up_once(gateway, other, acme, engine):
    responses = await asyncio.gather(
        *(respond(gateway, acme, model="helper", input=f"run {n}") for n in range(12))
    )
    waiting = [answer.json() for answer in responses]

    await asyncio.gather(*(decide(gateway, acme, each) for each in waiting))
    for each in waiting:
        done = await seen_until(gateway, acme, each["id"], "completed")
        assert output_text(done) == "It is 42."

    assert len(engine.records) == 24
    assert await in_database(lambda: Item.objects.filter(is_input=False).count()) == 12 * 4


async def test_a_worker_killed_after_it_went_on_is_reaped_like_any(
    tmp_path, gateway, acme, tiny, engine
):
    await in_database(begin_conversation, acme)
    await in_database(employ_careful, acme, tiny)
    call = [{"name": "calc", "arguments": {"expression": "1"}}]
    engine.behave(
        Behaviour(script=(call,)), Behaviour(tokens=2000, token_seconds=0.02), Behaviour(tokens=2)
    )
    waiting = (await respond(gateway, acme, model="helper", conversation="conv_1")).json()
    gateway.worker.gateway.runner._is_leaving = True
    with gateway_process(tmp_path) as worker:
        await decide(gateway, acme, waiting)
        await eventually(lambda: len(engine.records) == 2)
        await run_reaches(waiting["id"], "in_progress")
        await asyncio.sleep(0.3)
        worker.kill()

    await in_database(let_leases_run_out)
    assert await in_database(end_dead_runs) == 1
    assert await in_database(end_dead_runs) == 0

    path = f"/v1/responses/{waiting['id']}"
    frames = frames_of(await gateway.get(acme, f"{path}?stream=true"))
    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert frames[-1]["response"]["error"]["reason"] == "worker_died"
    assert len(await in_database(terminal_events, waiting["id"])) == 1
    kinds = [item["type"] for item in (await gateway.get(acme, path)).json()["output"]]
    assert kinds[:3] == ["mcp_approval_request", "mcp_approval_response", "mcp_call"]
    assert (await respond(gateway, acme, conversation="conv_1")).status == 200


@pytest.mark.usefixtures("helper")
async def test_a_run_whose_log_was_lost_goes_on_and_is_rebuilt(gateway, acme, engine):
    waiting = (await respond(gateway, acme, model="helper")).json()
    await run_reaches(waiting["id"], "requires_approval")
    with connect(settings.REDIS_URL) as client:
        client.delete(key_of(waiting["id"]))

    await decide(gateway, acme, waiting)

    done = await seen_until(gateway, acme, waiting["id"], "completed")
    assert output_text(done) == "It is 42."
    frames = frames_of(await gateway.get(acme, f"/v1/responses/{waiting['id']}?stream=true"))
    assert text_of(frames) == "It is 42."
    assert frames[-1]["type"] == "response.completed"
