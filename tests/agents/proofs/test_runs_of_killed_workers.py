"""A worker that is killed in the middle of a run: no ghost stays, nothing is billed twice."""

from datetime import timedelta

import aiohttp
import pytest
from django.conf import settings
from django.db.models import F

from agents.models import Run
from agents.tasks import end_dead_runs
from kernel.storage.redis import connect
from tenants.models import UsageEvent
from tenants.tasks import bill_abandoned_requests
from tests.agents.proofs.test_killed_workers import expire_every_hold
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.runs import (
    begin_conversation,
    frames_of,
    frames_until,
    open_stream,
    respond,
    run_reaches,
    run_row,
    text_of,
)
from tests.fixtures.servers.processes import gateway_process

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]


def let_leases_run_out():
    """As if nothing had been heard for half a minute: a test does not wait for it."""
    late = timedelta(seconds=30)
    Run.objects.filter(lease_until__isnull=False).update(lease_until=F("lease_until") - late)


def terminal_events(run_id):
    with connect(settings.REDIS_URL) as client:
        return client.xrange(f"tenantry:run:{run_id}:events", min="2-0")


async def test_the_run_of_a_killed_worker_ends_once_and_its_conversation_goes_on(
    tmp_path, gateway, acme, engine
):
    await in_database(begin_conversation, acme)
    engine.behave(Behaviour(tokens=2000, token_seconds=0.02), Behaviour(tokens=2))
    with gateway_process(tmp_path) as worker:
        async with aiohttp.ClientSession() as session:
            answer = await open_stream(session, worker.url, acme, conversation="conv_1")
            frames = await frames_until(answer, "response.output_text.delta")
            run_id = frames[0]["response"]["id"]
            worker.kill()
            answer.close()
    assert (await run_row(run_id)).state == "in_progress"
    assert (await respond(gateway, acme, conversation="conv_1")).status == 409

    await in_database(let_leases_run_out)
    assert await in_database(end_dead_runs) == 1
    assert await in_database(end_dead_runs) == 0

    last = frames[-1]["sequence_number"]
    path = f"/v1/responses/{run_id}?stream=true&starting_after={last}"
    *rest, end = frames_of(await gateway.get(acme, path))
    numbers = [frame["sequence_number"] for frame in [*frames, *rest, end]]
    assert numbers == list(range(len(numbers)))
    assert end["type"] == "response.failed"
    assert end["response"]["error"]["reason"] == "worker_died"
    assert len(await in_database(terminal_events, run_id)) == 1
    assert (await respond(gateway, acme, conversation="conv_1")).status == 200
    assert text_of(frames).startswith("tok0")

    await in_database(expire_every_hold, settings.REDIS_LIMITS_URL, acme.tenant.pk)
    await in_database(bill_abandoned_requests)
    await in_database(bill_abandoned_requests)
    events = await in_database(lambda: list(UsageEvent.objects.filter(client_request_id=run_id)))
    assert [event.kind for event in events] == ["abandoned"]


async def test_a_worker_that_was_only_asleep_does_not_end_its_run_again(
    tmp_path, gateway, acme, engine
):
    engine.behave(Behaviour(tokens=40, token_seconds=0.05))
    with gateway_process(tmp_path) as worker:
        async with aiohttp.ClientSession() as session:
            answer = await open_stream(session, worker.url, acme)
            frames = await frames_until(answer, "response.output_text.delta")
            run_id = frames[0]["response"]["id"]
            worker.stop()
            await in_database(let_leases_run_out)
            assert await in_database(end_dead_runs) == 1
            worker.go_on()
            frames += await frames_until(answer, "response.failed", "response.completed")
            answer.close()

    assert [f["sequence_number"] for f in frames] == list(range(len(frames)))
    assert frames[-1]["response"]["error"]["reason"] == "worker_died"
    assert (await run_reaches(run_id, "failed")).error["code"] == "worker_died"
    assert len(await in_database(terminal_events, run_id)) == 1


async def test_a_run_whose_worker_lives_is_left_alone(gateway, acme, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.03))
    run_id = (await respond(gateway, acme, background=True)).json()["id"]

    assert await in_database(end_dead_runs) == 0
    await run_reaches(run_id, "completed")


async def test_who_reads_a_log_that_has_no_end_writes_it(gateway, acme, engine, tmp_path):
    """The job may have died between the table and the log."""
    engine.behave(Behaviour(tokens=2000, token_seconds=0.02))
    with gateway_process(tmp_path) as worker:
        async with aiohttp.ClientSession() as session:
            answer = await open_stream(session, worker.url, acme)
            frames = await frames_until(answer, "response.output_text.delta")
            worker.kill()
            answer.close()
    run_id = frames[0]["response"]["id"]
    ended = {"state": "failed", "error": {"code": "worker_died", "message": "x"}}
    await in_database(lambda: Run.objects.filter(public_id=run_id).update(**ended))

    *_, end = frames_of(await gateway.get(acme, f"/v1/responses/{run_id}?stream=true"))

    assert end["response"]["error"]["reason"] == "worker_died"
    assert len(await in_database(terminal_events, run_id)) == 1
