"""A response that is requested on a socket is queued like any other request."""

import asyncio

from tests.agents.doors.websocket.test_socket import CREATE, TERMINAL, socket
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.inference.queueing.test_pool_queue import drop, fill, limit, running, waiting


async def test_it_answers_pings_while_it_waits_and_can_be_cancelled(gateway, acme, engine, tiny):
    await in_database(limit)
    await gateway.worker.follower.catch_up()
    tasks = await fill(gateway, engine, acme)

    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        created = (await client.hear_until("response.created"))[-1]
        await eventually(lambda: waiting(gateway) == 1)
        await client.say({"type": "ping"})
        await client.hear_until("pong")
        await client.say({"type": "response.cancel", "response_id": created["response"]["id"]})
        last = (await client.hear_until(*TERMINAL))[-1]

    (event,) = await ledger()
    assert last["response"]["status"] == "cancelled"
    assert (event.status, event.prompt_tokens, event.endpoint) == ("cancelled", 0, "")
    assert waiting(gateway) == 0
    assert len(engine.records) == 2
    await drop(tasks)


async def test_what_waits_outlives_its_socket(gateway, acme, engine, tiny):
    await in_database(limit)
    await gateway.worker.follower.catch_up()
    tasks = await fill(gateway, engine, acme)

    async with socket(gateway, acme) as client:
        await client.say(CREATE)
        await eventually(lambda: waiting(gateway) == 1)

    await asyncio.sleep(0.3)
    assert waiting(gateway) == 1
    engine.behave(Behaviour(tokens=2))
    await drop(tasks)
    await eventually(lambda: len(engine.records) == 3)
    await eventually(lambda: running(gateway) == 0)
