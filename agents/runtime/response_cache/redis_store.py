"""Cached responses in Redis, for all workers: each expires, and is indexed for erasure."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis
from redis.asyncio import Redis

from agents.runtime.response_cache.keys import CacheKey, answer_key, index_key, tag_key
from kernel.storage.cooldown import Cooldown

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_RESPONSES_PER_TENANT = 20_000
"""Beyond this limit the responses that expire first are deleted."""
PAUSE_SECONDS = 2.0
"""Time without use of Redis after a failure, so that requests do not wait for timeouts."""


class RedisCacheStore:
    """The tier of `ResponseCache` that workers share. It raises nothing: after a failure of Redis
    nothing is found or stored.
    """

    def __init__(self, client: Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`client` must have a short timeout: after it the model is called."""
        self._redis = client
        self._cooldown = Cooldown(PAUSE_SECONDS, clock=clock)

    async def read(self, key: CacheKey) -> bytes | None:
        """Return the value of `key`; None also if Redis is unavailable."""
        value: Any = await self._try(lambda: self._redis.get(answer_key(key.tenant_id, key.digest)))
        return value if isinstance(value, bytes) else None

    async def write(self, key: CacheKey, value: bytes, *, tag: str) -> None:
        """Store `value` for `key.seconds`, with entries in the indexes for erasure."""
        await self._try(lambda: self._write(key, value, tag=tag))

    async def _write(self, key: CacheKey, value: bytes, *, tag: str) -> None:
        now = time.time()
        lists = [index_key(key.tenant_id)]
        if tag:
            lists.append(tag_key(key.tenant_id, tag))
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(answer_key(key.tenant_id, key.digest), value, ex=key.seconds)
            for each in lists:
                pipe.zremrangebyscore(each, "-inf", now)
                pipe.zadd(each, {key.digest: now + key.seconds})
                pipe.expire(each, key.seconds, gt=True)
                pipe.expire(each, key.seconds, nx=True)
            pipe.zcard(lists[0])
            count = (await pipe.execute())[-1]
        if count > MAX_RESPONSES_PER_TENANT:
            await self._make_room(key.tenant_id, count - MAX_RESPONSES_PER_TENANT)

    async def _make_room(self, tenant_id: int, count: int) -> None:
        gone: Any = await self._redis.zpopmin(index_key(tenant_id), count)
        digests = [each.decode(errors="replace") for each, _ in gone]
        await self._redis.unlink(*(answer_key(tenant_id, each) for each in digests))

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T | None:
        if self._cooldown.is_active:
            return None
        try:
            return await call()
        except (redis.RedisError, OSError, TimeoutError) as error:
            self._cooldown.start()
            log.warning(
                "response cache: Redis unavailable, not used for a while (error=%s)",
                error.__class__.__name__,
            )
            return None
