"""The event log: every run's events, written by its worker, read by anybody anywhere.

A reader in the worker that runs it is fed from memory, after Redis has the event, or the table the
end. Elsewhere one task a run reads Redis for all readers of that process.
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
    key_of,
    read_entries,
)
from agents.events.writer import LogWriter, RunLog
from agents.schema.json_types import Json
from kernel.errors import Overloaded

log = logging.getLogger(__name__)

PAGE = 2000
BLOCK_SECONDS = 3.0
"""Of silence, after which it is looked whether the run has ended without a word."""

FindEnd = Callable[[str], Awaitable[Json | None]]
"""The last frame of a run that has ended in the table; None if it has not."""


class EventLog:
    """Opens logs to write, and follows them."""

    def __init__(self, client: Redis, blocking: Redis, *, find_end: FindEnd, ttl: int) -> None:
        """`blocking` waits for entries, on connections of its own."""
        self._redis = client
        self._blocking = blocking
        self._find_end = find_end
        self._ttl = ttl
        self._ours: dict[str, RunLog] = {}
        self._feeds: dict[str, EventBuffer] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.writer = LogWriter(client)

    def open(self, run_id: str, *, ttl: int | None = None) -> RunLog:
        """A log for a new run of this worker; `close` it when its last event is written."""
        run_log = self.writer.open(run_id, ttl=self._ttl if ttl is None else ttl)
        self._ours[run_id] = run_log
        return run_log

    async def reopen(self, run_id: str, *, written: int) -> RunLog:
        """The log of a run that goes on in this worker, after `told` events.

        If it is lost, the run cannot be followed until it has ended and its events are rebuilt.
        """
        run_log = self.writer.open(run_id, ttl=self._ttl)
        # Readers that are here already read on, now from memory.
        feed, tail = self._feeds.pop(run_id, None), self._tasks.pop(run_id, None)
        if feed is not None:
            run_log.feed = feed
        else:
            run_log.feed.is_loaded = False
        self._ours[run_id] = run_log
        if tail is not None:
            tail.cancel()
        with contextlib.suppress(redis.RedisError, OSError):
            await self._recall(run_log, written)
        if len(run_log.feed.events) == written:
            run_log.feed.loaded()
        else:
            run_log.is_kept = False
            run_log.feed.fail(NotResumable())
        run_log.release()
        return run_log

    async def _recall(self, run_log: RunLog, written: int) -> None:
        feed = run_log.feed
        while len(feed.events) < written:
            first = len(feed.events)
            feed.add(
                read_entries(await self._entries(run_log.run_id, after=first - 1), first=first)
            )
            if len(feed.events) == first:
                return

    async def hand_over(self, run_log: RunLog) -> None:
        """The run waits, and will go on in any worker: whoever reads on here reads Redis."""
        run_id, feed = run_log.run_id, run_log.feed
        self._ours.pop(run_id, None)
        if not run_log.is_kept:
            feed.fail(NotResumable())
            await self.delete(run_id)
            return
        if feed.readers:
            self._feeds[run_id] = feed
            self._tasks[run_id] = asyncio.create_task(self._tail(run_id, feed))
        with contextlib.suppress(redis.RedisError, OSError):
            await self._redis.expire(key_of(run_id), PAUSED_SECONDS)

    async def close(self, run_log: RunLog) -> None:
        """The run has ended: from now on Redis is read like anywhere else."""
        self._ours.pop(run_log.run_id, None)
        if not run_log.is_kept:
            # Half a log would be read as a whole one.
            await self.delete(run_log.run_id)

    async def take_over(self, run_log: RunLog) -> None:
        """Somebody else has ended this log: show our readers what stands there."""
        try:
            first = len(run_log.feed.events)
            entries = await self._entries(run_log.run_id, after=first - 1)
            run_log.feed.add(read_entries(entries, first=first))
        except (redis.RedisError, OSError):
            run_log.feed.fail(NotResumable())
            return
        if not run_log.feed.is_over:
            run_log.feed.fail(NotResumable())

    async def delete(self, run_id: str) -> None:
        """Forget it, as far as Redis can be reached; else it goes by itself."""
        with contextlib.suppress(redis.RedisError, OSError):
            await self._redis.delete(key_of(run_id))

    async def end(self, run_id: str, frame: Json) -> None:
        """Write the last event of a run whose worker is gone. Harmless if there is one."""
        with contextlib.suppress(redis.RedisError, OSError):
            await self._redis.eval(*end_arguments(run_id, frame, ttl=self._ttl))

    async def follow(self, run_id: str, *, after: int = -1) -> AsyncGenerator[Sequence[Event]]:
        """Events beyond number `after`, as they come, up to the last one.

        Raises NotResumable if there is no log, also in the middle.
        """
        feed = self._ours[run_id].feed if run_id in self._ours else self._remote(run_id)
        try:
            async with aclosing(feed.read(after=after)) as batches:
                async for events in batches:
                    yield events
        finally:
            self._leave(run_id, feed)

    def _remote(self, run_id: str) -> EventBuffer:
        feed = self._feeds.get(run_id)
        if feed is None:
            feed = self._feeds[run_id] = EventBuffer()
            feed.is_loaded = False
            self._tasks[run_id] = asyncio.create_task(self._tail(run_id, feed))
        return feed

    def _leave(self, run_id: str, feed: EventBuffer) -> None:
        """The last reader ends the task that reads for all."""
        if feed.readers == 0 and self._feeds.get(run_id) is feed:
            del self._feeds[run_id]
            self._tasks.pop(run_id).cancel()

    async def _tail(self, run_id: str, feed: EventBuffer) -> None:
        try:
            await self._read_on(run_id, feed)
        except (redis.RedisError, OSError) as error:
            log.debug("event log: read failed (error=%s)", error.__class__.__name__)
            if self._is_tail_of(run_id):
                feed.fail(NotResumable())
        finally:
            # Whoever comes later begins anew.
            if self._is_tail_of(run_id):
                del self._feeds[run_id]
                del self._tasks[run_id]

    def _is_tail_of(self, run_id: str) -> bool:
        """Whether the running task still reads this log. Cancelling alone does not tell: the client
        of Redis has been seen to swallow it, and to go on.
        """
        return self._tasks.get(run_id) is asyncio.current_task()

    async def _read_on(self, run_id: str, feed: EventBuffer) -> None:
        while not feed.is_over and self._is_tail_of(run_id):
            # Before the wait: what was added meanwhile must not come again under a new number.
            first = len(feed.events)
            entries = await self._entries(run_id, after=first - 1)
            is_lost = not entries and not await self._redis.exists(key_of(run_id))
            if is_lost and self._is_tail_of(run_id):
                feed.fail(NotResumable())
                return
            feed.add(read_entries(entries, first=first))
            if len(entries) < PAGE or feed.is_over:
                feed.loaded()
            if not entries and not await self._heard(run_id, feed):
                await self._end_if_over(run_id)

    async def _entries(self, run_id: str, *, after: int) -> list[Entry]:
        start = f"(1-{after}" if after >= 0 else "-"
        found = await self._redis.xrange(key_of(run_id), min=start, count=PAGE)
        return cast("list[Entry]", found)

    async def _heard(self, run_id: str, feed: EventBuffer) -> bool:
        """Wait for the next event. False if there was none for a while."""
        after = f"1-{len(feed.events) - 1}" if feed.events else "0-0"
        block = int(BLOCK_SECONDS * 1000)
        return bool(await self._blocking.xread({key_of(run_id): after}, count=1, block=block))

    async def _end_if_over(self, run_id: str) -> None:
        """A worker may die between the table and the log: then whoever reads writes the end."""
        # PostgreSQL may be away: then it is looked again after the next silence.
        with contextlib.suppress(Overloaded):
            frame = await self._find_end(run_id)
            if frame is not None:
                await self.end(run_id, frame)

    async def close_readers(self) -> None:
        """At the end of the worker."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self._feeds.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
