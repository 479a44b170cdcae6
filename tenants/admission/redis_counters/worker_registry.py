"""The number of live workers, which share the limits while Redis is unavailable."""

import asyncio
import logging

import redis
from redis.asyncio import Redis

from kernel.ids import new_public_id

log = logging.getLogger(__name__)

KEY = "tenantry:workers"
BEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 20


class WorkerRegistry:
    """Registers this worker and counts those with a recent heartbeat."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self.name = new_public_id()
        self.count = 1
        """Number of workers at the last response of Redis."""
        self.is_reachable = True
        """Whether Redis answered the last heartbeat."""

    async def run(self) -> None:
        """Send heartbeats until cancelled."""
        while True:
            try:
                await self.beat()
                self.is_reachable = True
            except (redis.RedisError, OSError) as error:
                self.is_reachable = False
                log.debug("worker registry: write failed (error=%s)", error.__class__.__name__)
            await asyncio.sleep(BEAT_SECONDS)

    async def beat(self) -> None:
        """Write a heartbeat and count the workers. Raises RedisError."""
        # The clock of Redis, because the clocks of hosts may differ.
        now, _ = await self._redis.time()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(KEY, {self.name: now})
            pipe.zremrangebyscore(KEY, "-inf", now - DEAD_AFTER_SECONDS)
            pipe.zcard(KEY)
            *_, count = await pipe.execute()
        self.count = max(1, count)

    async def leave(self) -> None:
        """Remove this worker. Raises RedisError."""
        await self._redis.zrem(KEY, self.name)
