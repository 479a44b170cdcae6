"""How many gateway workers there are: into so many parts limits are cut while Redis is away."""

import asyncio
import logging

import redis
from redis.asyncio import Redis

from kernel.ids import new_public_id

log = logging.getLogger(__name__)

KEY = "tenantry:workers"
BEAT_SECONDS = 5.0
DEAD_AFTER_SECONDS = 20


class LiveWorkers:
    """Counts the workers that have beaten lately, this one included."""

    def __init__(self, client: Redis) -> None:
        self._redis = client
        self.name = new_public_id()
        self.count = 1
        """As it was when Redis was last heard."""

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            try:
                await self.beat()
            except (redis.RedisError, OSError) as error:
                log.debug("worker registry: write failed (error=%s)", error.__class__.__name__)
            await asyncio.sleep(BEAT_SECONDS)

    async def beat(self) -> None:
        """Raises RedisError."""
        # Redis' clock, because the hosts' own may differ.
        now, _ = await self._redis.time()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zadd(KEY, {self.name: now})
            pipe.zremrangebyscore(KEY, "-inf", now - DEAD_AFTER_SECONDS)
            pipe.zcard(KEY)
            *_, count = await pipe.execute()
        self.count = max(1, count)

    async def leave(self) -> None:
        """This worker stops. Raises RedisError."""
        await self._redis.zrem(KEY, self.name)
