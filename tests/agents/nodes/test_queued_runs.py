"""Background responses that agent nodes execute."""

import asyncio

import pytest

from agents.models import AgentNode, Run
from agents.schema.run_records import MAX_ATTEMPTS
from agents.tasks import end_dead_runs, expire_queued_runs
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.runs.nodes import announce_node, running_node, sees_nodes
from tests.fixtures.runs.runs import frames_of, output_text, respond, run_reaches, run_row
from tests.fixtures.runs.waiting import employ_careful, seen_until

pytestmark = pytest.mark.usefixtures("tiny")


async def queue_run(gateway, member, **body):
    answer = await respond(gateway, member, background=True, **body)
    assert answer.status == 200, answer.body
    return answer.json()


async def test_a_node_executes_a_background_response(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3))
    async with running_node() as node:
        await sees_nodes(gateway)
        queued = await queue_run(gateway, acme)
        assert queued["status"] == "queued"
        done = await seen_until(gateway, acme, queued["id"], "completed")

        row = await run_row(queued["id"])
        assert (row.worker, row.attempt) == (node.workers.name, 1)
    assert output_text(done) == "tok0 tok1 tok2"
    (event,) = await ledger()
    assert (event.client_request_id, event.completion_tokens) == (queued["id"], 3)


async def test_a_queued_response_is_followed_from_its_first_event(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3))
    await announce_node(gateway)
    queued = await queue_run(gateway, acme)
    path = f"/v1/responses/{queued['id']}?stream=true"
    follow = asyncio.create_task(gateway.get(acme, path))
    await asyncio.sleep(0.1)
    async with running_node():
        frames = frames_of(await follow)

    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert frames[0]["type"] == "response.created"
    assert frames[-1]["type"] == "response.completed"


async def test_a_queued_response_can_be_cancelled(gateway, acme):
    await announce_node(gateway)
    queued = await queue_run(gateway, acme)

    cancelled = await gateway.post(acme, f"/v1/responses/{queued['id']}/cancel")

    assert cancelled.json()["status"] == "cancelled"
    async with running_node():
        await asyncio.sleep(0.2)
        assert (await run_row(queued["id"])).state == "cancelled"


async def test_a_tenant_has_a_bounded_number_of_queued_responses(gateway, acme, rival):
    await announce_node(gateway)
    object.__setattr__(gateway.worker.run_dependencies, "max_queued_runs", 2)
    for _ in range(2):
        await queue_run(gateway, acme)

    refused = await respond(gateway, acme, background=True)

    assert (refused.status, refused.error["code"]) == (429, "queue_full")
    assert "retry-after" in refused.headers
    await queue_run(gateway, rival)


async def test_claims_are_fair_between_tenants(gateway, acme, rival, engine):
    engine.behave(Behaviour(tokens=1))
    await announce_node(gateway)
    mine = [await queue_run(gateway, acme) for _ in range(4)]
    theirs = await queue_run(gateway, rival)
    store, worker = gateway.worker.run_dependencies.store, gateway.worker.workers.name

    first = await store.claim_queued(worker, limit=2, excluded=())

    assert {run.id for run in first} == {mine[0]["id"], theirs["id"]}
    rest = await store.claim_queued(worker, limit=9, excluded=())
    assert [run.id for run in rest] == [each["id"] for each in mine[1:]]


async def test_a_run_is_claimed_once(gateway, acme):
    await announce_node(gateway)
    ids = {(await queue_run(gateway, acme))["id"] for _ in range(20)}
    store = gateway.worker.run_dependencies.store

    claims = await asyncio.gather(
        *(store.claim_queued(f"node-{n}", limit=5, excluded=()) for n in range(8))
    )
    claims.append(await store.claim_queued("last", limit=20, excluded=()))

    claimed = [run.id for runs in claims for run in runs]
    assert sorted(claimed) == sorted(ids)


async def test_a_run_whose_node_died_is_continued_by_another(gateway, acme, engine):
    engine.behave(Behaviour(tokens=2))
    await announce_node(gateway)
    queued = await queue_run(gateway, acme)
    store = gateway.worker.run_dependencies.store
    (claimed,) = await store.claim_queued("dead", limit=1, excluded=())
    await in_database(lambda: Run.objects.update(lease_until="2020-01-01T00:00Z"))

    assert await store.requeue_dead() == 1
    async with running_node():
        await run_reaches(claimed.id, "completed")
    assert (await run_row(queued["id"])).attempt == 2


async def test_a_queued_response_expires_at_its_deadline(gateway, acme):
    await announce_node(gateway)
    queued = await queue_run(gateway, acme)
    late = await queue_run(gateway, acme)
    await in_database(
        lambda: Run.objects.filter(public_id=late["id"]).update(deadline="2020-01-01T00:00Z")
    )
    store = gateway.worker.run_dependencies.store

    claimed = await store.claim_queued("node", limit=5, excluded=())
    assert [run.id for run in claimed] == [queued["id"]]
    assert await in_database(expire_queued_runs) == 1
    assert await in_database(expire_queued_runs) == 0

    shown = (await gateway.get(acme, f"/v1/responses/{late['id']}")).json()
    assert (shown["status"], shown["incomplete_details"]) == ("incomplete", {"reason": "expired"})
    frames = frames_of(await gateway.get(acme, f"/v1/responses/{late['id']}?stream=true"))
    assert frames[-1]["type"] == "response.incomplete"


async def test_the_job_leaves_background_runs_to_the_nodes(gateway, acme):
    await announce_node(gateway)
    queued = await queue_run(gateway, acme)
    store = gateway.worker.run_dependencies.store
    assert await store.claim_queued("dead", limit=1, excluded=())
    await in_database(lambda: Run.objects.update(lease_until="2020-01-01T00:00Z"))
    assert await in_database(end_dead_runs) == 0
    assert (await run_row(queued["id"])).state == "in_progress"

    await in_database(AgentNode.objects.all().delete)
    assert await in_database(end_dead_runs) == 1
    assert (await run_row(queued["id"])).error["code"] == "worker_died"


async def test_a_run_that_loses_every_worker_fails(gateway, acme):
    await announce_node(gateway)
    queued = await queue_run(gateway, acme)
    store = gateway.worker.run_dependencies.store
    for _ in range(MAX_ATTEMPTS):
        assert await store.claim_queued("dead", limit=1, excluded=())
        await in_database(lambda: Run.objects.update(lease_until="2020-01-01T00:00Z"))
        await store.requeue_dead()

    assert await store.claim_queued("dead", limit=1, excluded=()) == []
    assert await in_database(end_dead_runs) == 1
    assert (await run_row(queued["id"])).error["code"] == "worker_died"


@pytest.fixture
def helper(acme, tiny):
    return employ_careful(acme, tiny)


@pytest.mark.usefixtures("helper")
async def test_an_agent_that_is_placed_elsewhere_is_not_claimed(gateway, acme):
    await announce_node(gateway)
    queued = await queue_run(gateway, acme, model="helper")
    store, excluded = gateway.worker.run_dependencies.store, (f"{acme.tenant.pk}/helper",)

    assert await store.claim_queued("node", limit=5, excluded=excluded) == []
    (claimed,) = await store.claim_queued("node", limit=5, excluded=())
    assert claimed.id == queued["id"]


async def test_a_drained_node_finishes_its_run_and_claims_no_other(gateway, acme, engine):
    engine.behave(Behaviour(tokens=40, token_seconds=0.02), Behaviour(tokens=1))
    async with running_node() as node:
        await sees_nodes(gateway)
        running = await queue_run(gateway, acme)
        await run_reaches(running["id"], "in_progress")
        node.queue_consumer.pause()
        waiting = await queue_run(gateway, acme)
        await seen_until(gateway, acme, running["id"], "completed")
        assert (await run_row(waiting["id"])).state == "queued"
        node.queue_consumer.unpause()
        await seen_until(gateway, acme, waiting["id"], "completed")


async def test_a_node_that_shuts_down_returns_its_runs_to_the_queue(
    gateway, acme, engine, settings
):
    settings.DRAIN_SECONDS = 0.1
    engine.behave(Behaviour(tokens=400, token_seconds=0.05), Behaviour(tokens=2))
    async with running_node():
        await sees_nodes(gateway)
        queued = await queue_run(gateway, acme)
        await run_reaches(queued["id"], "in_progress")
    row = await run_row(queued["id"])
    assert (row.state, row.error and row.error["code"]) == ("queued", None)

    async with running_node():
        done = await seen_until(gateway, acme, queued["id"], "completed")
    assert output_text(done) == "tok0 tok1"
    assert (await run_row(queued["id"])).attempt == 2
