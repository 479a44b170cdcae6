"""A gateway whose ledger hangs serves on; what it served is counted once, after all."""

import asyncio
import threading

import pytest
from django.db import connection, transaction

from config.gateway.database import queries as module
from tenants.admission.usage import writer
from tests.fixtures.gateway import eventually, ledger, running_gateway


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "QUERY_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.SPOOL_DIR = str(tmp_path / "spool")
    settings.DRAIN_SECONDS = 1
    return tmp_path / "spool"


class FrozenLedger:
    """Holds the ledger's table so that whoever writes to it hangs."""

    def __init__(self):
        self.held = threading.Event()
        self.release = threading.Event()
        self.thread = threading.Thread(target=self.hold)

    def hold(self):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE tenants_usageevent IN ACCESS EXCLUSIVE MODE")
            self.held.set()
            self.release.wait(20)
        connection.close()

    async def __aenter__(self):
        self.thread.start()
        await asyncio.to_thread(self.held.wait, 10)
        return self

    async def __aexit__(self, *_):
        self.release.set()
        await asyncio.to_thread(self.thread.join)


@pytest.mark.slow
async def test_what_was_served_while_the_ledger_hung_is_counted_once(acme, tiny, gateway, folder):
    async with FrozenLedger():
        for _ in range(3):
            assert (await gateway.chat(acme)).status == 200
        await eventually(lambda: gateway.worker.spool.events == 3)

    events = await ledger(rows=3)
    await eventually(lambda: not gateway.worker.spool.events)
    assert len(events) == len({event.request_id for event in events}) == 3
    assert list(folder.iterdir()) == []


async def test_what_a_stopped_worker_could_not_write_the_next_one_does(acme, tiny, folder):
    async with FrozenLedger(), running_gateway() as gateway:
        assert (await gateway.chat(acme)).status == 200

    assert len(list(folder.iterdir())) == 1
    async with running_gateway():
        assert len(await ledger(rows=1)) == 1
        await eventually(lambda: list(folder.iterdir()) == [])
