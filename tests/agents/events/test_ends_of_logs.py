"""Whoever reads where a run was made sees its end when the table has it, before Redis does."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from django.conf import settings

from agents.events.event import as_event
from agents.events.log import EventLog
from agents.events.stream import key_of
from kernel.ids import new_id
from kernel.storage.redis import connect_async


async def nobody_knows(run_id):
    return None


@asynccontextmanager
async def event_log(*, writing=True):
    client = connect_async(settings.REDIS_URL, timeout=2)
    log = EventLog(client, client, find_end=nobody_knows, ttl=60)
    writer = asyncio.create_task(log.writer.run()) if writing else None
    try:
        yield log, client
    finally:
        if writer is not None:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        await log.close_readers()
        await client.aclose()


def frame(number, kind="response.output_text.delta"):
    return as_event({"type": kind, "sequence_number": number})


def end(number):
    return frame(number, "response.completed")


async def read(run_log):
    async with asyncio.timeout(2):
        return [event.number async for events in run_log.buffer.read() for event in events]


async def numbers_in(client, run_id):
    return [place.decode() for place, _ in await client.xrange(key_of(run_id))]


@pytest.fixture
def run_id():
    return new_id("resp")


async def test_readers_here_do_not_wait_for_redis_at_the_end(run_id):
    async with event_log(writing=False) as (log, client):
        run_log = log.open(run_id)
        run_log.append([frame(0)])
        run_log.start_writing()
        await log.writer.flush()

        run_log.append([frame(1)])
        run_log.end([end(2)])

        assert await read(run_log) == [0, 1, 2]
        assert await numbers_in(client, run_id) == ["1-0"]
        await log.writer.flush()
        await run_log.flushed()
        assert await numbers_in(client, run_id) == ["1-0", "1-1", "2-0"]
        assert await read(run_log) == [0, 1, 2], "nothing twice"


async def test_before_the_end_they_see_what_redis_has(run_id):
    async with event_log(writing=False) as (log, _):
        run_log = log.open(run_id)
        run_log.append([frame(0)])
        run_log.start_writing()
        await log.writer.flush()

        run_log.append([frame(1)])

        assert [event.number for event in run_log.buffer.events] == [0]


async def test_an_end_waits_for_the_beginning_of_its_log(run_id):
    """Whoever has seen the end may delete the log, which must not begin anew after that."""
    async with event_log(writing=False) as (log, client):
        run_log = log.open(run_id)
        run_log.append([frame(0)])

        run_log.end([end(1)])

        assert not run_log.buffer.events
        await log.writer.flush()
        assert await read(run_log) == [0, 1]
        assert await numbers_in(client, run_id) == ["1-0", "2-0"]


async def test_a_log_that_is_deleted_after_its_end_was_seen_stays_deleted(run_id):
    async with event_log(writing=False) as (log, client):
        run_log = log.open(run_id)
        run_log.append([frame(0)])
        run_log.start_writing()
        await log.writer.flush()
        run_log.append([frame(1)])
        run_log.end([end(2)])
        await log.delete(run_id)

        await log.writer.flush()
        await log.close(run_log)

        assert await numbers_in(client, run_id) == []


async def test_a_log_that_somebody_ended_from_the_table_holds_up_nobody(run_id):
    taken = []
    async with event_log() as (log, client):
        run_log = log.open(run_id)
        run_log.on_taken_over = lambda: taken.append(run_id)
        run_log.append([frame(0)])
        run_log.start_writing()
        await run_log.flushed()
        await log.end(run_id, {"type": "response.completed"})

        run_log.end([frame(1), end(2)])

        async with asyncio.timeout(2):
            await run_log.flushed()
        assert await read(run_log) == [0, 1, 2]
        assert await numbers_in(client, run_id) == ["1-0", "2-0"], "one end"
        assert not taken


async def test_a_run_whose_log_was_ended_before_its_time_is_told_so(run_id):
    taken = []
    async with event_log() as (log, _):
        run_log = log.open(run_id)
        run_log.on_taken_over = lambda: taken.append(run_id)
        run_log.append([frame(0)])
        run_log.start_writing()
        await run_log.flushed()
        await log.end(run_id, {"type": "response.failed"})

        run_log.append([frame(1)])
        await run_log.flushed()

        assert taken == [run_id]
        assert [event.number for event in run_log.buffer.events] == [0]
