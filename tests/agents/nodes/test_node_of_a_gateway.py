"""A gateway worker is a node: it registers, sends heartbeats, and says when it ends."""

import asyncio
from functools import partial

import pytest

from agents.models import AgentNode
from agents.nodes import operations
from config.gateway.database.queries import GatewayDatabase
from config.node.registration import NodeRegistration, register_agent_node, register_gateway
from tests.fixtures.gateway import in_database, running_gateway
from tests.fixtures.nodes import announce, node_token

pytestmark = pytest.mark.django_db(transaction=True)


async def until(worker, **columns):
    """The row of a worker, as soon as it has these values."""
    async with asyncio.timeout(30):
        while True:
            node = await in_database(AgentNode.objects.filter(worker=worker).first)
            if node and all(getattr(node, name) == value for name, value in columns.items()):
                return node
            await asyncio.sleep(0.02)


async def test_a_gateway_is_listed_while_it_serves():
    async with running_gateway() as gateway:
        node = await until(gateway.worker.workers.name, state="degraded")
        assert (node.kind, node.version, node.note) == ("gateway", "0.1.0", "no engine")
        assert node.host
    assert (await until(node.worker, state="down")).note == "stopped"


async def test_a_gateway_with_engines_is_up(tiny, gateway):
    await gateway.worker.registration.beat()
    assert (await until(gateway.worker.workers.name)).state == "up"


async def test_a_failed_call_to_the_database_is_reported_when_it_is_back(tiny, gateway):
    gateway.worker.meter.note_database_failure()
    await gateway.worker.registration.beat()
    node = await until(gateway.worker.workers.name, state="degraded")
    assert node.note.startswith("PostgreSQL was unavailable")


async def test_a_lost_database_is_logged_once_and_ends_nothing(gateway, caplog):
    database = GatewayDatabase(statement_connections=1)
    await database.open()
    await database.close()
    announced = announce("node-1", kind="gateway")
    registration = NodeRegistration(
        announced,
        database=database,
        meter=gateway.worker.meter,
        register=partial(register_gateway, database, announced),
    )
    await registration.beat()
    await registration.beat()
    await registration.leave()
    assert [record.args[1] for record in caplog.records if "node: heartbeat" in record.msg] == [
        "database_unavailable"
    ]


async def test_a_row_that_was_deleted_is_registered_again(tiny, gateway):
    await gateway.worker.registration.beat()
    await in_database(AgentNode.objects.all().delete)
    await gateway.worker.registration.beat()
    assert (await until(gateway.worker.workers.name)).state == "up"


async def test_an_agent_node_follows_a_drain_and_its_end(tiny, gateway):
    _, text = await in_database(node_token)
    calls = []
    announced = announce("node-1")
    database = gateway.worker.database
    registration = NodeRegistration(
        announced,
        database=database,
        meter=gateway.worker.meter,
        register=lambda: register_agent_node(database, announced, text),
        on_drain=lambda: calls.append("drain"),
        on_drain_cancelled=lambda: calls.append("cancel"),
    )
    await registration.register()
    await registration.beat()
    node = await until(announced.worker, state="up")

    await in_database(operations.request_drain, node=node)
    await registration.beat()
    await registration.beat()
    await in_database(operations.cancel_drain, node=node)
    await registration.beat()
    assert calls == ["drain", "cancel"]

    await registration.leave()
    await until(announced.worker, state="down", note="stopped")
