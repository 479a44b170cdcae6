"""The way up: nothing lost, nothing twice, whatever the database does."""

import asyncio
import logging

import pytest

from tenants.admission.usage import writer as ledger
from tenants.admission.usage.writer import (
    BATCH_ROWS,
    MAX_BATCH_ROWS,
    LedgerFull,
    LedgerUnavailable,
    LedgerWriter,
    RecordRefused,
)
from tests.fixtures.database.ledger_table import Table
from tests.fixtures.limits.usage import record


@pytest.fixture
async def table():
    return Table()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(ledger, "RETRY_SECONDS", 0.01)


@pytest.fixture
async def writer(table):
    """A writer that runs."""
    made = LedgerWriter(table.append)
    task = asyncio.create_task(made.run())
    yield made
    task.cancel()
    await asyncio.wait({task}, timeout=1)


def fill(writer, count):
    for number in range(count):
        writer.record(record(number))


async def until(condition):
    async with asyncio.timeout(3):
        while not condition():
            await asyncio.sleep(0.005)


async def test_records_arrive_in_their_order(table, writer):
    fill(writer, 5)

    await until(lambda: table.holds(5))


async def test_records_of_a_moment_are_one_batch(table, writer):
    fill(writer, 20)

    await until(lambda: table.holds(20))
    assert table.batches == [20]


async def test_a_full_batch_does_not_wait(table, writer, monkeypatch):
    monkeypatch.setattr(ledger, "BATCH_SECONDS", 60)

    fill(writer, BATCH_ROWS)

    await until(lambda: table.holds(BATCH_ROWS))


async def test_a_batch_is_bounded(table):
    writer = LedgerWriter(table.append)
    fill(writer, MAX_BATCH_ROWS + 1)

    await writer.flush()

    assert table.batches == [MAX_BATCH_ROWS, 1]


async def test_what_was_recorded_while_a_batch_is_written_is_kept(table, writer):
    table.takes = 0.05
    fill(writer, 1)
    await asyncio.sleep(0.05)
    writer.record(record(1))

    await until(lambda: table.holds(2))


async def test_while_the_database_is_away_nothing_is_lost_or_doubled(table, writer):
    table.failing = [LedgerUnavailable()] * 5

    fill(writer, 250)

    await until(lambda: table.holds(250))
    assert sum(table.batches) == 250


async def test_a_batch_whose_answer_was_lost_is_sent_again_under_the_same_ids(table, writer):
    table.lost = [LedgerUnavailable()]
    fill(writer, 3)

    await until(lambda: table.batches == [3, 3])
    assert table.holds(3)


@pytest.mark.parametrize("poison", [[0], [7], [19], [0, 1, 2], [3, 9, 17], list(range(20))])
async def test_a_record_that_is_refused_takes_no_other_with_it(table, writer, poison, caplog):
    table.poison = {f"req_{number}" for number in poison}

    with caplog.at_level(logging.CRITICAL):
        fill(writer, 20)
        await until(lambda: not writer._pending)

    assert len(table.rows) == 20 - len(poison)
    assert sum("record refused" in line for line in caplog.messages) == len(poison)


async def test_a_refusal_and_an_outage_at_once_lose_nothing(table, writer):
    table.poison = {"req_3"}
    table.failing = [RecordRefused(), LedgerUnavailable()]

    fill(writer, 8)

    await until(lambda: not writer._pending)
    assert set(table.rows) == {f"req_{number}" for number in range(8)} - {"req_3"}


async def test_there_is_room_up_to_the_bound(table):
    writer = LedgerWriter(table.append, max_pending=3)
    fill(writer, 2)
    writer.ensure_room()
    fill(writer, 1)

    with pytest.raises(LedgerFull) as caught:
        writer.ensure_room()

    assert caught.value.retry_after == 5


async def test_a_request_that_has_happened_is_recorded_beyond_the_bound(table):
    writer = LedgerWriter(table.append, max_pending=1)
    fill(writer, 3)

    await writer.flush()

    assert table.holds(3)
    writer.ensure_room()


async def test_at_the_stop_everything_is_written(table):
    writer = LedgerWriter(table.append)
    fill(writer, 2500)

    await writer.flush()

    assert table.holds(2500)


async def test_a_flush_that_fails_has_lost_nothing(table):
    writer = LedgerWriter(table.append)
    fill(writer, 10)
    table.failing = [LedgerUnavailable()]
    with pytest.raises(LedgerUnavailable):
        await writer.flush()

    await writer.flush()

    assert table.holds(10)


async def test_a_stop_in_the_middle_of_a_batch_loses_nothing(table):
    writer = LedgerWriter(table.append)
    task = asyncio.create_task(writer.run())
    fill(writer, BATCH_ROWS)
    for _ in range(4):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    await writer.flush()

    assert table.holds(BATCH_ROWS)


@pytest.mark.parametrize("turns", range(6))
async def test_it_stops_although_a_batch_fills_up_in_the_same_moment(table, turns):
    writer = LedgerWriter(table.append)
    task = asyncio.create_task(writer._fill_batch())
    await asyncio.sleep(0)
    fill(writer, BATCH_ROWS)
    for _ in range(turns):
        await asyncio.sleep(0)
    late = task.done()
    task.cancel()
    await asyncio.wait({task}, timeout=1)

    assert task.cancelled() or late
