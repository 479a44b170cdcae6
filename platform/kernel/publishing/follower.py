"""The receiving end of publishing in gateways: each new revision is read once."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from redis.asyncio import Redis

from kernel.errors import PlatformError
from kernel.publishing.subscriber import Subscriber

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0

Poll = Callable[[int], Awaitable[Sequence[tuple[int, str]]]]
Handler = Callable[[str], Awaitable[None]]


class Follower:
    """Calls `handle(topic)` for every topic that changed after `last_revision`.

    A push only triggers the poll; the table has the changes. `poll` raises PlatformError while
    PostgreSQL is unavailable: the gateway then continues with its snapshot.
    """

    def __init__(self, *, poll: Poll, handle: Handler, redis: Redis, channel: str) -> None:
        self._poll = poll
        self._handle = handle
        self._subscriber = Subscriber(redis)
        self._channel = channel
        self._woken = asyncio.Event()
        self.last_revision = 0

    async def follow(self) -> None:
        """Poll each second and after each push, until cancelled."""
        while True:
            try:
                await self.catch_up()
            except PlatformError as error:
                log.warning("publishing: poll failed (error=%s)", error)
            await self._sleep()

    async def _sleep(self) -> None:
        """Wait for a push or the next poll."""
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation, and the stop would hang.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()
        self._woken.clear()

    async def catch_up(self) -> None:
        """Handle all changes since the last call."""
        for revision, topic in await self._poll(self.last_revision):
            await self._handle(topic)
            self.last_revision = revision

    async def listen(self) -> None:
        """Trigger a poll of `follow` for every push, until cancelled.

        A separate task, because a task group cancels its children only once: a child that loses the
        cancellation would delay the end of the worker.
        """
        with self._subscriber.subscribed(self._channel, lambda _: self._woken.set()):
            await self._subscriber.run()
