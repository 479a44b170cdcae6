"""The connection breaks after the commit: the writer asks again, and nothing is counted twice."""

import asyncio

import pytest
from django.db import OperationalError, connection

from kernel.storage.database import DatabaseThreads
from tenants.admission.usage import writer as module
from tenants.admission.usage.writer import LedgerUnavailable, LedgerWriter
from tenants.ledger import append_usage, load_counters
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.limits.usage import WINDOW, charged

RETRIES = 3


def append_and_lose(records):
    """Append, and lose the connection before the answer."""
    append_usage(records)
    with connection.cursor() as cursor:
        try:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        except OperationalError as error:
            raise LedgerUnavailable from error


@pytest.fixture
async def threads(transactional_db):
    threads = DatabaseThreads(size=2)
    yield threads
    threads.close()


async def test_records_whose_answers_were_lost_are_charged_once(threads, monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    told, left = [], [append_and_lose] * RETRIES

    async def append(records):
        return await threads.run(left.pop() if left else append_usage, records)

    async def settled(records, states):
        told.extend(states)

    writer = LedgerWriter(append, settled=settled)
    task = asyncio.create_task(writer.run())
    for number in range(5):
        writer.record(charged(number, 10))
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait({task})

    assert (told[-1].used, told[-1].version) == (50, 1)
    assert len(await ledger(rows=5)) == 5
    (state,) = await in_database(load_counters, 1, [("tenant|tokens", WINDOW)])
    assert state.used == 50
