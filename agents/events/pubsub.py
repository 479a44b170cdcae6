"""Messages between workers: a run is to be cancelled, a conversation has a new event.

Redis' publish and subscribe, which may lose any message: a subscriber reads the table when one
arrives, and polls it from time to time anyway.
"""

import logging
from contextlib import AbstractContextManager

import redis
from redis.asyncio import Redis

from kernel.publishing.subscriber import Listener, Subscriber

log = logging.getLogger(__name__)


def worker_channel(name: str) -> str:
    """Return the channel on which a worker gets the ids of runs to cancel."""
    return f"tenantry:worker:{name}:runs"


def conversation_channel(public_id: str) -> str:
    """Return the channel that gets a message when a run of the conversation starts or ends."""
    return f"tenantry:conversation:{public_id}:runs"


def topic_channel(tenant_id: int, topic: str) -> str:
    """Return the channel that gets a message when one is sent to a topic of the tenant."""
    return f"tenantry:topic:{tenant_id}:{topic}"


class WorkerPubSub:
    """One subscription for a whole worker."""

    def __init__(self, client: Redis, subscriber: Redis) -> None:
        """`subscriber` must have no timeout for reads: its connection waits for messages."""
        self._redis = client
        self._subscriber = Subscriber(subscriber)

    async def notify(self, channel: str, text: str = "") -> None:
        """Publish. A failure of Redis is logged only: subscribers poll as well."""
        try:
            await self._redis.publish(channel, text)
        except (redis.RedisError, OSError) as error:
            log.debug("pubsub: publish failed (error=%s)", error.__class__.__name__)

    def subscribed(self, channel: str, listener: Listener) -> AbstractContextManager[None]:
        """Call `listener` with each message inside the block, and with "" after a reconnection."""
        return self._subscriber.subscribed(channel, listener)

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._subscriber.run()
