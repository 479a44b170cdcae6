"""Answers in Redis, for all workers: each with an expiry, and listed so that it can be erased."""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis
from redis.asyncio import Redis

from agents.runtime.response_cache.cache import CacheKey
from agents.runtime.response_cache.keys import answer_key, index_key, tag_key

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_RESPONSES_PER_TENANT = 20_000
"""Answers; those that would expire first make room."""
PAUSE_SECONDS = 2.0
"""How long Redis is left alone after it failed: no request is to wait for it in vain."""


class RedisCacheStore:
    """The shelf of `response_cache`. A failure of Redis means that nothing is found or kept."""

    def __init__(self, client: Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`client` has a short timeout: a model is asked if Redis does not answer."""
        self._redis = client
        self._clock = clock
        self._away_until = 0.0

    async def read(self, key: CacheKey) -> bytes | None:
        """What is kept under `key`; None as well if Redis does not say."""
        value: Any = await self._try(lambda: self._redis.get(answer_key(key.tenant_id, key.digest)))
        return value if isinstance(value, bytes) else None

    async def write(self, key: CacheKey, value: bytes, *, tag: str) -> None:
        """Keep `value` for as long as `key` says, in the lists by which it is erased."""
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

    async def _try(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        if self._clock() < self._away_until:
            return None
        try:
            return await ask()
        except (redis.RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock() + PAUSE_SECONDS
            log.warning(
                "response cache: Redis unavailable, not used for a while (error=%s)",
                error.__class__.__name__,
            )
            return None
