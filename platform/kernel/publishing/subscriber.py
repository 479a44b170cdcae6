"""Redis' publish and subscribe for one process, with changing channels and reconnection.

Messages may be lost: a listener reads the table when one arrives, and polls it anyway.
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
PLACEHOLDER = "tenantry:nobody"
"""A channel without messages: a connection that subscribes to nothing cannot listen."""

Listener = Callable[[str], None]


class Subscriber:
    """One connection with any number of subscriptions, which is opened again if it breaks."""

    def __init__(self, client: Redis) -> None:
        """`client` must have no timeout for reads: the connection waits for messages."""
        self._redis = client
        self._listeners: dict[str, set[Listener]] = {}
        self._pubsub: PubSub | None = None
        self._changes: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def subscribed(self, channel: str, listener: Listener) -> Iterator[None]:
        """Call `listener` with each message inside the block, and with "" after each reconnection,
        because messages may have been lost before it.
        """
        listeners = self._listeners.setdefault(channel, set())
        listeners.add(listener)
        if len(listeners) == 1:
            self._apply(channel)
        try:
            yield
        finally:
            listeners.discard(listener)
            if not listeners and self._listeners.get(channel) is listeners:
                del self._listeners[channel]
                self._apply(channel)

    def _apply(self, channel: str) -> None:
        task = asyncio.get_running_loop().create_task(self._change(channel))
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _change(self, channel: str) -> None:
        """Subscribe or unsubscribe, depending on whether the channel has listeners now."""
        pubsub = self._pubsub
        if pubsub is None:
            return  # `run` subscribes to all channels when it is connected
        with contextlib.suppress(redis.RedisError, OSError):
            if channel in self._listeners:
                await pubsub.subscribe(channel)
            else:
                await pubsub.unsubscribe(channel)

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                await self._listen()
            except (redis.RedisError, OSError) as error:
                log.warning("redis: subscription failed (error=%s)", error.__class__.__name__)
            self._pubsub = None
            # Also after a subscription that ended without an error: it may end again at once.
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(PLACEHOLDER)
            # From here on `_change` subscribes to new channels; earlier ones are subscribed below.
            self._pubsub = pubsub
            if self._listeners:
                await pubsub.subscribe(*self._listeners)
            for channel in list(self._listeners):
                self._deliver(channel, "")
            async for message in pubsub.listen():
                text = read_message(message["data"])
                if text is not None:
                    self._deliver(message["channel"].decode(), text)

    def _deliver(self, channel: str, text: str) -> None:
        for listener in tuple(self._listeners.get(channel, ())):
            listener(text)
