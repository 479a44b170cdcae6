"""Keys that nobody can check right now: told to come again, never that they are wrong."""

import asyncio
import threading
from contextlib import asynccontextmanager

import pytest
from django.db import connection, transaction

from tests.agents.doors.websocket.test_socket import socket, ticket_of

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]


@asynccontextmanager
async def keys_locked():
    """Whoever reads the table of keys in this block waits."""
    locked, done = threading.Event(), threading.Event()

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE tenants_apikey IN ACCESS EXCLUSIVE MODE")
            locked.set()
            done.wait(timeout=30)
        connection.close()

    holding = asyncio.create_task(asyncio.to_thread(hold))
    await asyncio.to_thread(locked.wait)
    try:
        yield
    finally:
        done.set()
        await holding


async def by_header(gateway, member):
    async with socket(gateway, member) as client:
        return await refusal(client)


async def by_subprotocol(gateway, member, ticket):
    async with socket(gateway, subprotocols=[f"tenantry.ticket.{ticket}"]) as client:
        return await refusal(client)


async def by_first_frame(gateway, member, ticket):
    async with socket(gateway) as client:
        await client.say({"type": "auth", "ticket": ticket})
        return await refusal(client)


async def refusal(client):
    return (await client.hear())["error"]["code"], await client.closed_with()


async def test_a_good_key_is_never_called_wrong_because_nobody_can_look_it_up(gateway, acme):
    tickets = [await ticket_of(gateway, acme) for _ in range(2)]
    gateway.worker.gateway.keyring.forget_tenant(acme.tenant.pk)

    async with keys_locked():
        answers = await asyncio.gather(
            by_header(gateway, acme),
            by_subprotocol(gateway, acme, tickets[0]),
            by_first_frame(gateway, acme, tickets[1]),
        )

    assert set(answers) == {("keys_unavailable", 1013)}


async def pings(client):
    await client.say({"type": "ping"})
    return await client.hear() == {"type": "pong"}


@pytest.mark.parametrize("is_forgotten", [False, True])
async def test_an_open_socket_stays_open_meanwhile(gateway, acme, is_forgotten):
    async with socket(gateway, acme) as client:
        assert await pings(client)
        if is_forgotten:
            gateway.worker.gateway.keyring.forget_tenant(acme.tenant.pk)
        async with keys_locked():
            await asyncio.sleep(5)
        assert await pings(client)
