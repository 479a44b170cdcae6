"""Runs of agents with a placement, on the nodes that it names."""

import asyncio

import pytest

from agents.models import Agent, Approval
from agents.nodes.selectors import agents_placed_elsewhere
from agents.runs import approvals
from agents.services import deploy_agent
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.nodes import running_node, sees_nodes
from tests.fixtures.runs.runs import respond, run_reaches, run_row
from tests.fixtures.runs.waiting import employ_careful, wants_to_reckon

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("helper")]


@pytest.fixture
def helper(acme, tiny, engine):
    engine.behave(wants_to_reckon())
    return employ_careful(acme, tiny)


async def place(node, placement):
    """Change the placement of all agents, and let a node read it."""
    await in_database(lambda: Agent.objects.update(placement=placement))
    await node.placement.load()


async def queue_run(gateway, member):
    queued = await respond(gateway, member, model="helper", background=True)
    return queued.json()["id"]


async def test_a_queued_run_waits_until_its_agent_is_placed_on_the_node(gateway, acme):
    async with running_node() as node:
        await place(node, {"replicas": 0})
        await sees_nodes(gateway)
        run_id = await queue_run(gateway, acme)
        # Two polls of the node.
        await asyncio.sleep(2)
        assert (await run_row(run_id)).state == "queued"

        await place(node, {})
        await run_reaches(run_id, "requires_approval")


async def test_a_decided_run_is_resumed_where_its_agent_is_placed(gateway, acme):
    async with running_node() as node:
        await sees_nodes(gateway)
        run_id = await queue_run(gateway, acme)
        await run_reaches(run_id, "requires_approval")
        await place(node, {"replicas": 0})
        await in_database(
            lambda: approvals.resolve(
                approval=Approval.objects.select_related("run").get(), by="ada", decision="approved"
            )
        )
        await node.runner.resume(run_id)
        assert (await run_row(run_id)).state == "requires_approval"

        await place(node, {})
        await node.runner.resume(run_id)
        await run_reaches(run_id, "completed")


@pytest.fixture
def placed(helper):
    deploy_agent(agent=helper, placement={"labels": {"gpu": "a100"}})


@pytest.mark.usefixtures("placed")
async def test_without_nodes_the_run_of_a_placed_agent_is_queued(gateway, acme):
    run_id = await queue_run(gateway, acme)

    row = await run_row(run_id)
    assert (row.state, row.worker) == ("queued", "")


async def test_without_nodes_a_gateway_executes_the_run_of_another_agent(gateway, acme):
    run_id = await queue_run(gateway, acme)

    row = await run_reaches(run_id, "requires_approval")
    assert row.attempt == 1


async def test_an_invalid_placement_excludes_its_agent_and_no_other(acme, helper):
    await in_database(lambda: Agent.objects.update(placement={"labels": {"no/good/": "x"}}))

    assert await in_database(agents_placed_elsewhere, "node-1") == [f"{acme.tenant.pk}/helper"]
