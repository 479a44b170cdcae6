"""Nodes that are killed or frozen under work: another one continues, once."""

import asyncio
from datetime import timedelta

import pytest
from aiohttp import web
from django.conf import settings
from django.db.models import F

from agents.models import Approval, Run, Tool
from agents.services import create_agent, publish, save_draft
from agents.tool_library.store import save_tool
from kernel.storage.redis import connect
from tenants.models import UsageEvent
from tenants.tasks import bill_abandoned_requests
from tests.agents.proofs.test_killed_workers import expire_every_hold
from tests.fakes.model_server import Behaviour
from tests.fakes.tool_server import tool_server
from tests.fixtures.gateway import in_database
from tests.fixtures.nodes import node_token
from tests.fixtures.runs.nodes import running_node
from tests.fixtures.runs.runs import (
    frames_until,
    next_frame,
    open_stream,
    output_text,
    respond,
    run_reaches,
    run_row,
)
from tests.fixtures.runs.waiting import decide, seen_until
from tests.fixtures.servers.processes import node_process

pytestmark = [pytest.mark.slow]

END = ("response.completed", "response.failed", "response.incomplete")


async def run_is_lost(gateway, run_id):
    """Let the lease of a run expire now, and queue the run again, as a node does."""

    def expire():
        Run.objects.filter(public_id=run_id).update(
            lease_until=F("lease_until") - timedelta(days=1)
        )

    await in_database(expire)
    assert await gateway.worker.run_dependencies.store.requeue_dead() == 1


def terminal_events(run_id):
    with connect(settings.REDIS_URL) as client:
        return client.xrange(f"tenantry:run:{run_id}:events", min="2-0")


async def rest_of(answer):
    frames = []
    while (frame := await next_frame(answer)) is not None:
        frames.append(frame)
    return frames


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("freezes", [False, True])
async def test_another_node_continues_the_stream_of_a_lost_node(
    tmp_path, gateway, acme, engine, freezes
):
    engine.behave(Behaviour(tokens=400, token_seconds=0.05), Behaviour(tokens=2))
    _, token = await in_database(node_token)
    with node_process(tmp_path, TENANTRY_NODE_TOKEN=token) as lost:
        await gateway.worker.registration.beat()
        answer = await open_stream(gateway.client, gateway.url, acme, background=True)
        frames = await frames_until(answer, "response.output_text.delta")
        run_id = frames[0]["response"]["id"]
        lost.stop() if freezes else lost.kill()
        await run_is_lost(gateway, run_id)
        async with running_node():
            frames += await rest_of(answer)
            if freezes:
                lost.go_on()
                # It renews every 2.5 s, and learns that it has lost the run.
                await asyncio.sleep(4)
        row = await run_row(run_id)

    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert [f["type"] for f in frames if f["type"] in END] == ["response.completed"]
    added = [f for f in frames if f["type"] == "response.output_item.added"]
    done = [f for f in frames if f["type"] == "response.output_item.done"]
    assert [f["output_index"] for f in added] == [0, 1] == [f["output_index"] for f in done]
    assert [f["item"]["status"] for f in done] == ["incomplete", "completed"]
    assert output_text(frames[-1]["response"]) == "tok0 tok1"
    assert (row.state, row.attempt) == ("completed", 2)
    assert len(await in_database(terminal_events, run_id)) == 1
    shown = (await gateway.get(acme, f"/v1/responses/{run_id}")).json()
    assert output_text(shown) == "tok0 tok1"

    await in_database(expire_every_hold, settings.REDIS_LIMITS_URL, acme.tenant.pk)
    await in_database(bill_abandoned_requests)
    events = await in_database(lambda: list(UsageEvent.objects.filter(client_request_id=run_id)))
    # Of the two calls of the model, that of a frozen node ends by itself.
    calls = sorted(event.kind for event in events if event.kind != "correction")
    assert calls == (["final", "final"] if freezes else ["abandoned", "final"])
    assert len({event.request_id for event in events}) == 2


def employ(member, route, url, *, is_idempotent):
    """`helper`, who books by an HTTP request."""
    tool = Tool(
        tenant=member.tenant,
        name="book",
        description="Books.",
        kind="http",
        settings={"url": url, "method": "POST"},
        schema={"type": "object", "properties": {}},
        is_idempotent=is_idempotent,
    )
    save_tool(tool=tool)
    agent = create_agent(tenant=member.tenant, route=route, slug="helper", name="Helper")
    agent.tools = ["book"]
    save_draft(agent=agent)
    publish(agent=agent)


@pytest.fixture
async def tools(settings):
    async with tool_server() as server:
        settings.EGRESS_ALLOW, settings.EGRESS_HTTP = ("127.0.0.1",), True
        settings.EGRESS_PORTS = (server.port,)
        yield server


@pytest.fixture
def lose_node(request, tmp_path, gateway, acme, tools):
    """Returns the id of a run whose node was killed while its tool was called."""
    engine, route = request.getfixturevalue("engine"), request.getfixturevalue("tiny")
    begun = asyncio.Event()

    async def hang(_):
        begun.set()
        await asyncio.sleep(60)

    egress = {
        "TENANTRY_EGRESS_ALLOW": "127.0.0.1",
        "TENANTRY_EGRESS_PORTS": str(tools.port),
        "TENANTRY_EGRESS_HTTP": "true",
    }

    async def lose(*, is_idempotent):
        url = tools.url("/book", host="127.0.0.1")
        await in_database(employ, acme, route, url, is_idempotent=is_idempotent)
        tools.answers["/book"] = hang
        engine.behave(Behaviour(script=([{"name": "book", "arguments": {}}], "Booked.")))
        _, token = await in_database(node_token)
        with node_process(tmp_path, TENANTRY_NODE_TOKEN=token, **egress) as lost:
            await gateway.worker.registration.beat()
            queued = (await respond(gateway, acme, model="helper", background=True)).json()
            async with asyncio.timeout(15):
                await begun.wait()
            lost.kill()
        tools.answers["/book"] = web.json_response({"booked": True})
        await run_is_lost(gateway, queued["id"])
        return queued["id"]

    return lose


@pytest.mark.parametrize("approve", [False, True])
async def test_a_call_that_must_not_be_repeated_waits_for_a_person(
    lose_node, gateway, acme, tools, approve
):
    run_id = await lose_node(is_idempotent=False)

    async with running_node():
        await run_reaches(run_id, "requires_approval")
        assert len(tools.seen) == 1
        approval = await in_database(Approval.objects.get)
        assert "may have been executed already" in approval.note
        waiting = (await gateway.get(acme, f"/v1/responses/{run_id}")).json()
        await decide(gateway, acme, waiting, approve=approve)
        done = await seen_until(gateway, acme, run_id, "completed")

    assert output_text(done) == "Booked."
    assert len(tools.seen) == 1 + approve, done["output"]


async def test_an_idempotent_call_is_repeated(lose_node, gateway, acme, tools):
    run_id = await lose_node(is_idempotent=True)

    async with running_node():
        done = await seen_until(gateway, acme, run_id, "completed")

    assert output_text(done) == "Booked."
    assert len(tools.seen) == 2
    assert [item["type"] for item in done["output"]] == ["mcp_call", "message"]
