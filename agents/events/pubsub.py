"""Messages between workers: a run is to be cancelled, a conversation has a new event.

Redis' publish and subscribe, which may lose any message: a subscriber reads the table when one
arrives, and polls it from time to time anyway.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator

import redis
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from kernel.storage.shared_values import read_message

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0

Hear = Callable[[str], None]


def worker_channel(name: str) -> str:
    """Rung with the id of a run that is to be cancelled."""
    return f"tenantry:worker:{name}:runs"


def conversation_channel(public_id: str) -> str:
    """Rung when a run of it begins or ends."""
    return f"tenantry:conversation:{public_id}:runs"


class WorkerPubSub:
    """One subscription for a whole worker."""

    def __init__(self, client: Redis, subscriber: Redis) -> None:
        """`subscriber` waits for ever, on a connection of its own."""
        self._redis = client
        self._subscriber = subscriber
        self._hearers: dict[str, set[Hear]] = {}
        self._pubsub: PubSub | None = None
        self._changes: set[asyncio.Task[None]] = set()

    async def notify(self, name: str, text: str = "") -> None:
        """Publish, as far as Redis can be reached."""
        try:
            await self._redis.publish(name, text)
        except (redis.RedisError, OSError) as error:
            log.debug("pubsub: publish failed (error=%s)", error.__class__.__name__)

    @contextlib.contextmanager
    def heard(self, name: str, hear: Hear) -> Iterator[None]:
        """Call `hear` for each message inside the block."""
        hearers = self._hearers.setdefault(name, set())
        hearers.add(hear)
        if len(hearers) == 1:
            self._change(name)
        try:
            yield
        finally:
            hearers.discard(hear)
            if not hearers and self._hearers.get(name) is hearers:
                del self._hearers[name]
                self._change(name)

    def _change(self, name: str) -> None:
        task = asyncio.get_running_loop().create_task(self._subscribe(name))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _subscribe(self, name: str) -> None:
        """Make the subscription what it should be by now."""
        pubsub = self._pubsub
        if pubsub is None:
            return  # `run` subscribes to all when it is connected
        with contextlib.suppress(redis.RedisError, OSError):
            if name in self._hearers:
                await pubsub.subscribe(name)
            else:
                await pubsub.unsubscribe(name)

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (redis.RedisError, OSError) as error:
                log.debug("pubsub: subscription failed (error=%s)", error.__class__.__name__)
            self._pubsub = None
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with self._subscriber.pubsub(ignore_subscribe_messages=True) as pubsub:
            # One that nobody rings, because a subscription to nothing cannot be listened to.
            await pubsub.subscribe("tenantry:nobody")
            # From here on `heard` subscribes by itself; what came before is in the list.
            self._pubsub = pubsub
            if self._hearers:
                await pubsub.subscribe(*self._hearers)
            for name in list(self._hearers):
                self._tell(name, "")  # it may have rung meanwhile
            async for message in pubsub.listen():
                name, text = message["channel"].decode(), read_message(message["data"])
                if text is not None:
                    self._tell(name, text)

    def _tell(self, name: str, text: str) -> None:
        for hear in tuple(self._hearers.get(name, ())):
            hear(text)
