"""The event log: the events of every run, written by its worker and readable in any process.

A reader in the worker of the run reads memory, after Redis has stored the event, or the table the
end. In other processes one task per run reads Redis for all readers.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import cast

import redis
from redis.asyncio import Redis

from agents.errors import NotResumable
from agents.events.buffer import EventBuffer
from agents.events.event import Event
from agents.events.stream import (
    PAUSED_SECONDS,
    Entry,
    end_arguments,
    fence_command,
    key_of,
    read_entries,
)
from agents.events.writer import LogWriter, RunLog
from agents.schema.json_types import Json
from kernel.errors import Overloaded

log = logging.getLogger(__name__)

PAGE = 2000
BLOCK_SECONDS = 3.0
"""Time without an event after which the table is read: the run may have ended without one."""

FindEnd = Callable[[str], Awaitable[Json | None]]
"""Returns the last frame of a run that has ended in the table; None if it has not ended."""


class EventLog:
    """Opens logs to write, and follows them."""

    def __init__(self, client: Redis, blocking: Redis, *, find_end: FindEnd, ttl: int) -> None:
        """`blocking` waits for entries on connections of its own. `ttl` is in seconds."""
        self._redis = client
        self._blocking = blocking
        self._find_end = find_end
        self._ttl = ttl
        self._local_logs: dict[str, RunLog] = {}
        self._buffers: dict[str, EventBuffer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.writer = LogWriter(client)

    def open(self, run_id: str, *, ttl: int | None = None) -> RunLog:
        """Return a log for a new run of this worker; `close` it when its last event is written."""
        run_log = self.writer.open(run_id, ttl=self._ttl if ttl is None else ttl)
        self._local_logs[run_id] = run_log
        return run_log

    async def reopen(self, run_id: str, *, written: int, attempt: int) -> RunLog:
        """Return the log of a run that this worker continues, with at least `written` events.

        From now on events of earlier attempts are refused. If the log is lost, the run cannot be
        followed until it has ended and is replayed.
        """
        run_log = self.writer.open(run_id, attempt=attempt, ttl=self._ttl)
        # Readers in this process continue, now from memory.
        buffer, tail = self._buffers.pop(run_id, None), self._tasks.pop(run_id, None)
        if buffer is not None:
            run_log.buffer = buffer
        else:
            run_log.buffer.is_loaded = False
        self._local_logs[run_id] = run_log
        if tail is not None:
            tail.cancel()
        with contextlib.suppress(redis.RedisError, OSError):
            if attempt > 1:
                await self._fence(run_log)
            await self._read_written(run_log.buffer, run_id)
        if len(run_log.buffer.events) >= written:
            run_log.buffer.loaded()
        else:
            run_log.is_durable = False
            run_log.buffer.fail(NotResumable())
        run_log.start_writing()
        return run_log

    async def _fence(self, run_log: RunLog) -> None:
        try:
            command = fence_command(key_of(run_log.run_id), attempt=run_log.attempt)
            await self._redis.execute_command(*command)  # type: ignore[no-untyped-call]
        except redis.ResponseError as error:
            # There is no log, or it has ended, or a later attempt writes it.
            log.debug("event log: fence refused (error=%s)", error)

    async def _read_written(self, buffer: EventBuffer, run_id: str) -> None:
        while await self._read_page(buffer, run_id):
            pass

    async def _read_page(self, buffer: EventBuffer, run_id: str) -> int:
        """Read the next entries into the buffer. Returns how many there were, at most PAGE."""
        first = len(buffer.events)
        entries = await self._entries(run_id, buffer)
        # Another reader of the same buffer may have added them meanwhile.
        if entries and len(buffer.events) == first:
            buffer.add(read_entries(entries, first=first))
            buffer.position = entries[-1][0]
        return len(entries)

    async def hand_over(self, run_log: RunLog) -> None:
        """Release the log of a paused run, which any worker may resume. Readers now read Redis."""
        run_id = run_log.run_id
        self._local_logs.pop(run_id, None)
        if not run_log.is_durable:
            run_log.buffer.fail(NotResumable())
            await self.delete(run_id)
            return
        self._read_from_redis(run_log)
        with contextlib.suppress(redis.RedisError, OSError):
            await self._redis.expire(key_of(run_id), PAUSED_SECONDS)

    async def close(self, run_log: RunLog) -> None:
        """Close the log of an ended run. Later readers in this worker read Redis."""
        self._local_logs.pop(run_log.run_id, None)
        if not run_log.is_durable:
            # Readers would take an incomplete log for a complete one.
            await self.delete(run_log.run_id)

    async def take_over(self, run_log: RunLog) -> None:
        """Give readers the events of the process that has taken over or ended this log."""
        self._local_logs.pop(run_log.run_id, None)
        if run_log.is_durable:
            self._read_from_redis(run_log)
        else:
            run_log.buffer.fail(NotResumable())

    def _read_from_redis(self, run_log: RunLog) -> None:
        """Let the readers of this process read what other processes write."""
        run_id, buffer = run_log.run_id, run_log.buffer
        if buffer.readers:
            self._buffers[run_id] = buffer
            self._tasks[run_id] = asyncio.create_task(self._tail(run_id, buffer))

    async def delete(self, run_id: str) -> None:
        """Delete a log. If Redis is unavailable, the log expires later."""
        with contextlib.suppress(redis.RedisError, OSError):
            await self._redis.delete(key_of(run_id))

    async def end(self, run_id: str, frame: Json) -> None:
        """Write the last event of a run without a worker. Harmless if the log has ended."""
        with contextlib.suppress(redis.RedisError, OSError):
            await self._redis.eval(*end_arguments(run_id, frame, ttl=self._ttl))

    async def follow(self, run_id: str, *, after: int = -1) -> AsyncGenerator[Sequence[Event]]:
        """Yield events after number `after`, as they arrive, up to the last one.

        Raises NotResumable if there is no log, or if it is lost meanwhile.
        """
        buffer = (
            self._local_logs[run_id].buffer if run_id in self._local_logs else self._remote(run_id)
        )
        try:
            async with aclosing(buffer.read(after=after)) as batches:
                async for events in batches:
                    yield events
        finally:
            self._release_reader(run_id, buffer)

    def _remote(self, run_id: str) -> EventBuffer:
        buffer = self._buffers.get(run_id)
        if buffer is None:
            buffer = self._buffers[run_id] = EventBuffer()
            buffer.is_loaded = False
            self._tasks[run_id] = asyncio.create_task(self._tail(run_id, buffer))
        return buffer

    def _release_reader(self, run_id: str, buffer: EventBuffer) -> None:
        """Cancel the task that reads Redis after the last of its readers has left."""
        if buffer.readers == 0 and self._buffers.get(run_id) is buffer:
            del self._buffers[run_id]
            self._tasks.pop(run_id).cancel()

    async def _tail(self, run_id: str, buffer: EventBuffer) -> None:
        try:
            await self._read_on(run_id, buffer)
        except (redis.RedisError, OSError) as error:
            log.debug("event log: read failed (error=%s)", error.__class__.__name__)
            if self._is_reading(run_id):
                buffer.fail(NotResumable())
        finally:
            # Later readers start a new task.
            if self._is_reading(run_id):
                del self._buffers[run_id]
                del self._tasks[run_id]

    def _is_reading(self, run_id: str) -> bool:
        """Return whether the current task still reads this log.

        Cancelling it is not enough: Redis' client may swallow a cancellation.
        """
        return self._tasks.get(run_id) is asyncio.current_task()

    async def _read_on(self, run_id: str, buffer: EventBuffer) -> None:
        while not buffer.is_over and self._is_reading(run_id):
            count = await self._read_page(buffer, run_id)
            is_lost = not count and not await self._redis.exists(key_of(run_id))
            if is_lost and self._is_reading(run_id):
                buffer.fail(NotResumable())
                return
            if count < PAGE or buffer.is_over:
                buffer.loaded()
            if not count and not await self._wait_for_entry(run_id, buffer):
                await self._end_if_over(run_id)

    async def _entries(self, run_id: str, buffer: EventBuffer) -> list[Entry]:
        """Return the next entries that the buffer does not have, at most a page."""
        start = b"(" + buffer.position if buffer.position else b"-"
        found = await self._redis.xrange(key_of(run_id), min=start, count=PAGE)
        return cast("list[Entry]", found)

    async def _wait_for_entry(self, run_id: str, buffer: EventBuffer) -> bool:
        """Wait for the next event. False if there was none within BLOCK_SECONDS."""
        after = buffer.position or b"0-0"
        block = int(BLOCK_SECONDS * 1000)
        return bool(await self._blocking.xread({key_of(run_id): after}, count=1, block=block))

    async def _end_if_over(self, run_id: str) -> None:
        """Write the end into the log if the worker died after it had stored it in the table."""
        # If PostgreSQL is unavailable, the next timeout tries again.
        with contextlib.suppress(Overloaded):
            frame = await self._find_end(run_id)
            if frame is not None:
                await self.end(run_id, frame)

    async def close_readers(self) -> None:
        """Cancel the tasks that read Redis, when the worker stops."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._buffers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
