"""PostgreSQL takes no writes for a while: nobody is cut off, nothing is lost, and 503 says why."""

import asyncio
import time

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from agents.models import Run
from tests.fakes.model_server import Behaviour
from tests.fixtures.database.demotion import read_only_database, restart_sessions
from tests.fixtures.gateway import eventually, in_database, ledger

pytestmark = pytest.mark.usefixtures("tiny", "no_session_of_the_test", "no_session_survives")

NEEDS_WRITES = {
    "database_unavailable": ("/v1/conversations", {}),
    "run_not_kept": ("/v1/responses", {"model": "tiny", "input": "hi"}),
}
LONGER_THAN_A_RENEWAL_SECONDS = 7.0


@pytest.fixture
def no_session_of_the_test(tiny, acme):
    """What has prepared the test leaves no session that would be ended too."""
    connection.close()


class ReadOnly:
    """`read_only_database` for an event loop."""

    def __init__(self):
        self._block = read_only_database()

    async def __aenter__(self):
        await sync_to_async(self._block.__enter__, thread_sensitive=False)()

    async def __aexit__(self, *failure):
        await sync_to_async(self._block.__exit__, thread_sensitive=False)(*failure)


async def database_of(gateway):
    answer = await gateway.get(None, "/readyz")
    return answer.status, answer.json()["checks"]["database"]


@pytest.mark.slow
async def test_streams_go_on_and_the_worker_lives(gateway, acme, engine):
    engine.behave(Behaviour(tokens=40, token_seconds=0.25))
    begun = [
        asyncio.create_task(gateway.post(acme, "/v1/responses", json=body))
        for body in ({"model": "tiny", "input": "a", "stream": True},) * 2
    ]
    begun.append(asyncio.create_task(gateway.chat(acme, stream=True)))
    await eventually(lambda: len(engine.records) == 3)
    # The engine works while a run is put into the table: what is not in it then is not kept.
    async with asyncio.timeout(5):
        while await in_database(Run.objects.count) < 2:
            await asyncio.sleep(0.05)
    async with ReadOnly():
        await asyncio.sleep(LONGER_THAN_A_RENEWAL_SECONDS)
    answers = await asyncio.gather(*begun)
    assert [answer.status for answer in answers] == [200] * 3
    assert not gateway.worker.shutdown.has_started
    for answer in answers[:2]:
        assert "response.completed" in answer.events[-2]
    assert answers[2].events[-1] == "[DONE]"
    await ledger(rows=3, within=20)


async def test_what_needs_writes_is_503_in_time_and_back_in_seconds(gateway, acme, engine):
    assert (await gateway.chat(acme)).status == 200
    async with ReadOnly():
        for code, (path, body) in NEEDS_WRITES.items():
            # Far below the 30 s for which a pool of connections waits by default.
            async with asyncio.timeout(20):
                answer = await gateway.post(acme, path, json=body)
            assert (answer.status, answer.error["code"]) == (503, code)
        assert (await gateway.chat(acme)).status == 200
        status, database = await database_of(gateway)
        assert (status, database["status"], database["detail"]) == (200, "down", "ReadOnlyDatabase")
    # The connections of the meantime still lead to the demoted server.
    for path, body in NEEDS_WRITES.values():
        await becomes_200(gateway, acme, path, body)
    await ledger(rows=3, within=20)
    # A connection that was being opened meanwhile may say "read only" once more.
    async with asyncio.timeout(8):
        while (await database_of(gateway))[1]["status"] != "up":
            await asyncio.sleep(0.2)


async def becomes_200(gateway, member, path, body, *, within=8.0):
    until = time.monotonic() + within
    while (answer := await gateway.post(member, path, json=body)).status != 200:
        assert answer.error["code"] in NEEDS_WRITES
        assert time.monotonic() < until, "it does not come back"
        await asyncio.sleep(0.2)


async def test_nobody_notices_that_all_connections_have_ended(gateway, acme):
    for path, body in NEEDS_WRITES.values():
        assert (await gateway.post(acme, path, json=body)).status == 200
    await sync_to_async(restart_sessions, thread_sensitive=False)()
    await asyncio.sleep(0.1)
    for path, body in list(NEEDS_WRITES.values()) * 3:
        assert (await gateway.post(acme, path, json=body)).status == 200
