"""The ledger's writer while PostgreSQL is away: records go to the spool, and come back once."""

import asyncio
import logging

import pytest

from kernel import metrics
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.usage import writer as ledger
from tenants.admission.usage.spool import SpoolUnwritable
from tenants.admission.usage.spool_file import decode_line
from tenants.admission.usage.spool_folder import REFUSED, FolderSpool
from tenants.admission.usage.writer import LedgerFull, LedgerUnavailable, LedgerWriter
from tests.fixtures.database.ledger_table import Table
from tests.fixtures.limits.usage import record


class AwayTable(Table):
    """A table that is away as long as it is told to be."""

    away = True

    async def append(self, records):
        if self.away:
            raise LedgerUnavailable
        return await super().append(records)


class FullDisk(FolderSpool):
    """A spool that has no room as long as it is told so."""

    full = True

    def write(self, records):
        if self.full:
            raise SpoolUnwritable
        super().write(records)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(ledger, "RETRY_SECONDS", 0.02)


@pytest.fixture
async def table():
    return AwayTable()


@pytest.fixture
def spool(tmp_path):
    return FolderSpool(tmp_path)


@pytest.fixture
def full(tmp_path):
    return FullDisk(tmp_path)


@pytest.fixture
async def running():
    """Starts writers, and stops them."""
    tasks = []

    def start(writer):
        tasks.append(asyncio.create_task(writer.run()))
        return writer

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def fill(writer, numbers):
    for number in numbers:
        writer.record(record(number))


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


def ids(numbers):
    return {f"req_{number}" for number in numbers}


async def test_while_the_table_is_away_records_leave_memory_for_the_spool(table, spool, running):
    writer = running(LedgerWriter(table.append, spool=spool))

    fill(writer, range(250))

    await until(lambda: spool.events == 250)
    assert not writer._pending
    writer.ensure_room()


async def test_when_the_table_is_back_each_record_is_appended_once(table, spool, running, tmp_path):
    writer = running(LedgerWriter(table.append, spool=spool))
    fill(writer, range(100))
    await until(lambda: spool.events == 100)

    table.away = False
    fill(writer, range(100, 150))

    await until(lambda: len(table.rows) == 150 and not spool.events)
    assert sum(table.batches) == 150
    assert list(tmp_path.iterdir()) == []


async def test_whoever_holds_is_told_what_was_spooled_and_then_what_was_settled(
    table, spool, running
):
    told = []
    state = CounterState(tenant_id=1, counter="tenant|tokens", window="1-2", used=3, version=1)

    async def append(records):
        appended = await table.append(records)
        return type(appended)(new=appended.new, states=(state,))

    async def spooled(records):
        told.extend(("spooled", each.request_id) for each in records)

    async def settled(records, states):
        told.extend(("settled", each.request_id, *states) for each in records)

    writer = running(LedgerWriter(append, spool=spool, settled=settled, spooled=spooled))
    fill(writer, [1])
    await until(lambda: told == [("spooled", "req_1")])

    table.away = False

    await until(lambda: told[1:] == [("settled", "req_1", state)])


async def test_what_was_appended_at_once_is_only_settled(table, spool, running):
    told = []

    async def spooled(records):
        told.append("spooled")

    async def settled(records, states):
        told.append("settled")

    table.away = False
    writer = running(LedgerWriter(table.append, spool=spool, settled=settled, spooled=spooled))
    fill(writer, [1])

    await until(lambda: told == ["settled"])


async def test_a_dead_workers_records_are_appended_at_the_start(table, spool, running, tmp_path):
    dead = FolderSpool(tmp_path)
    dead.write([record(1), record(2)])
    dead.close()
    table.away = False

    running(LedgerWriter(table.append, spool=spool))

    await until(lambda: set(table.rows) == ids([1, 2]))


async def test_records_of_a_worker_that_dies_later_are_found(
    table, spool, running, tmp_path, monkeypatch
):
    monkeypatch.setattr(ledger, "CLAIM_SECONDS", 0.05)
    table.away = False
    running(LedgerWriter(table.append, spool=spool))
    await asyncio.sleep(0.1)

    dying = FolderSpool(tmp_path)
    dying.write([record(1)])
    await asyncio.sleep(0.1)
    assert not table.rows
    dying.close()

    await until(lambda: set(table.rows) == ids([1]))


async def test_a_replay_whose_answer_was_lost_is_repeated(table, spool, running):
    writer = running(LedgerWriter(table.append, spool=spool))
    fill(writer, range(5))
    await until(lambda: spool.events == 5)
    table.lost = [LedgerUnavailable()] * 3
    table.away = False

    await until(lambda: not spool.events)
    assert set(table.rows) == ids(range(5))
    assert not table.lost


async def test_a_refused_record_is_set_aside_and_the_others_are_appended(
    table, spool, running, tmp_path, caplog
):
    table.poison = {"req_3"}
    writer = running(LedgerWriter(table.append, spool=spool))
    with caplog.at_level(logging.CRITICAL):
        fill(writer, range(6))
        await until(lambda: spool.events == 6)
        table.away = False
        await until(lambda: not spool.events)

    assert set(table.rows) == ids([0, 1, 2, 4, 5])
    assert decode_line((tmp_path / REFUSED).read_bytes().rstrip(b"\n")) == record(3)


async def test_without_table_and_spool_new_requests_are_refused_before_anything_is_lost(
    table, full, running
):
    writer = running(LedgerWriter(table.append, spool=full))
    writer.ensure_room()
    fill(writer, range(3))

    await until(lambda: writer._at_risk)

    with pytest.raises(LedgerFull):
        writer.ensure_room()
    assert len(writer._pending) == 3


@pytest.mark.parametrize("what", ["table", "disk"])
async def test_once_either_is_back_requests_are_served_again(table, full, running, what):
    writer = running(LedgerWriter(table.append, spool=full))
    fill(writer, range(3))
    await until(lambda: writer._at_risk)

    if what == "table":
        table.away = False
    else:
        full.full = False

    await until(lambda: not writer._pending)
    writer.ensure_room()
    assert len(table.rows) + full.events == 3


async def test_a_disk_that_fills_up_later_refuses_too(table, full, running):
    full.full = False
    writer = running(LedgerWriter(table.append, spool=full))
    fill(writer, [1])
    await until(lambda: full.events == 1)

    full.full = True
    fill(writer, [2])
    await until(lambda: writer._at_risk)
    table.away = False

    await until(lambda: set(table.rows) == ids([1, 2]))
    writer.ensure_room()


async def test_at_a_stop_the_rest_goes_to_the_spool(table, spool, tmp_path):
    writer = LedgerWriter(table.append, spool=spool)
    fill(writer, range(1500))

    await writer.close(seconds=5)

    heir = FolderSpool(tmp_path)
    heir.claim()
    assert heir.events == 1500


async def test_at_a_stop_a_database_that_hangs_is_not_waited_for(table, spool, tmp_path):
    async def hang(records):
        await asyncio.sleep(60)

    writer = LedgerWriter(hang, spool=spool)
    fill(writer, range(5))

    await writer.close(seconds=0.05)

    heir = FolderSpool(tmp_path)
    heir.claim()
    assert heir.events == 5


async def test_what_nothing_takes_at_a_stop_is_in_the_log_whole(table, full, caplog):
    writer = LedgerWriter(table.append, spool=full)
    fill(writer, [7])

    await writer.close(seconds=1)

    assert "lost at shutdown: UsageRecord(request_id='req_7'" in caplog.text


async def test_a_stop_in_the_middle_of_spooling_loses_nothing(table, spool, tmp_path):
    writer = LedgerWriter(table.append, spool=spool)
    task = asyncio.create_task(writer.run())
    fill(writer, range(100))
    await asyncio.sleep(0.002)
    task.cancel()
    await asyncio.wait({task})

    await writer.close(seconds=5)

    heir = FolderSpool(tmp_path)
    heir.claim()
    waiting = heir.oldest(1000)
    assert {each.request_id for each in waiting.records} == ids(range(100))


async def test_the_lag_is_the_age_of_the_oldest_spooled_record(table, spool, running):
    writer = running(LedgerWriter(table.append, spool=spool))
    fill(writer, range(3))
    await until(lambda: spool.events == 3)
    spool._files[0].created_at -= 90
    await asyncio.sleep(0.1)

    writer._report()

    values = {
        sample.name: sample.value
        for metric in (metrics.ledger_lag, metrics.spool_events, metrics.ledger_pending)
        for family in metric.collect()
        for sample in family.samples
    }
    assert 90 <= values["tenantry_ledger_lag_seconds"] < 100
    assert values["tenantry_spool_events"] == values["tenantry_ledger_pending_events"] == 3
