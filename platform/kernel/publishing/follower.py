"""The gateways' end of publishing: reads each new revision once, within a second."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

import redis
from redis.asyncio import Redis

from kernel.errors import PlatformError

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0

Poll = Callable[[int], Awaitable[Sequence[tuple[int, str]]]]
Handler = Callable[[str], Awaitable[None]]


class Follower:
    """Calls `handle(topic)` for every topic that changed after revision `seen`.

    A push only wakes the poll up; the table alone says what changed. `poll` raises PlatformError
    while PostgreSQL is away: the gateway then goes on with what it has.
    """

    def __init__(self, *, poll: Poll, handle: Handler, redis: Redis, channel: str) -> None:
        self._poll = poll
        self._handle = handle
        self._redis = redis
        self._channel = channel
        self._woken = asyncio.Event()
        self.seen = 0

    async def follow(self) -> None:
        """Read what was published, each second and after each push, until cancelled."""
        while True:
            try:
                await self.catch_up()
            except PlatformError as error:
                log.warning("publishing: poll failed (error=%s)", error)
            await self._sleep()

    async def _sleep(self) -> None:
        """Wait for a push, but not longer than until the next poll."""
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation, and the stop would hang.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()
        self._woken.clear()

    async def catch_up(self) -> None:
        """Handle everything that was published since the last call."""
        for revision, topic in await self._poll(self.seen):
            await self._handle(topic)
            self.seen = revision

    async def listen(self) -> None:
        """Wake `follow` up for every push, until cancelled.

        A task of its own rather than a child of `follow`'s: a group of tasks cancels its children
        once, and one that loses that would hold up the end of the worker.
        """
        while True:
            try:
                await self._hear()
            except (redis.RedisError, OSError) as error:
                log.warning("publishing: subscription failed (error=%s)", error.__class__.__name__)
            # Also after a subscription that ended by itself: it may do so again at once.
            await asyncio.sleep(POLL_SECONDS)

    async def _hear(self) -> None:
        async with self._redis.pubsub() as subscription:
            await subscription.subscribe(self._channel)
            # A push between the last poll and this subscription is found by waking once now.
            self._woken.set()
            async for _ in subscription.listen():
                self._woken.set()
