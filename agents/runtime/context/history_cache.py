"""Histories of recent conversations, cached in Redis for all gateways.

A cached history is used only if its version is that of the conversation, which is read from
PostgreSQL each time: one row instead of all items. Without Redis the items are read.
"""

import logging
from typing import Final, Protocol

import msgspec
import redis
from redis.asyncio import Redis

from agents.redis_keys import context_key
from agents.schema.history import History
from kernel.storage.shared_values import decode

log = logging.getLogger(__name__)

SECONDS: Final = 15 * 60
ERASED: Final = b""
"""The value of an erased conversation: a history that was read before must not be cached again."""
MAX_HISTORY_BYTES: Final = 512 * 1024
"""A longer history is not cached, and is read from PostgreSQL each time."""

STORE_SCRIPT = """
if redis.call('GET', KEYS[1]) == '' then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""


class LoadHistory(Protocol):
    async def __call__(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History: ...


class ReadVersion(Protocol):
    async def __call__(self, tenant_id: int, *, conversation: str) -> int: ...


encode = msgspec.msgpack.Encoder().encode
decoder = msgspec.msgpack.Decoder(History)


class ContextCache:
    """Caches the histories that `load` returns."""

    def __init__(self, redis: Redis, *, load: LoadHistory, version: ReadVersion) -> None:
        self._redis = redis
        self._load = load
        self._version = version

    async def history(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History:
        """Return the history of a run. Raises NotFound, and DatabaseUnavailable."""
        if conversation is None:
            return await self._load(
                tenant_id, conversation=None, previous_response=previous_response
            )
        cached = await self._read(tenant_id, conversation)
        if cached is not None and cached.version == await self._version(
            tenant_id, conversation=conversation
        ):
            return cached
        history = await self._load(tenant_id, conversation=conversation, previous_response=None)
        await self._write(tenant_id, conversation, history)
        return history

    async def _read(self, tenant_id: int, conversation: str) -> History | None:
        try:
            packed = await self._redis.get(context_key(tenant_id, conversation))
        except (redis.RedisError, OSError) as error:
            log.debug("context cache: read failed (error=%s)", error.__class__.__name__)
            return None
        return decode(packed, decoder, reader="context") if packed else None

    async def _write(self, tenant_id: int, conversation: str, history: History) -> None:
        packed = encode(history)
        if len(packed) > MAX_HISTORY_BYTES:
            return
        key = context_key(tenant_id, conversation)
        try:
            await self._redis.eval(STORE_SCRIPT, 1, key, packed, str(SECONDS))
        except (redis.RedisError, OSError) as error:
            log.debug("context cache: write failed (error=%s)", error.__class__.__name__)
