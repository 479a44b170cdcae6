"""The histories of conversations that are under way, in Redis, so that any gateway continues them.

A copy is used only if its version is the conversation's own, which PostgreSQL is asked each time:
one row instead of all items. Without Redis the items are read.
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
GONE: Final = b""
"""Stands where a conversation was erased: what was read before that must not come back."""
MAX_HISTORY_BYTES: Final = 512 * 1024
"""Bytes; a history beyond that is read from PostgreSQL each time."""

KEEP = """
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
    """Answers as `load` does, and asks it less often."""

    def __init__(self, redis: Redis, *, load: LoadHistory, version: ReadVersion) -> None:
        self._redis = redis
        self._load = load
        self._version = version

    async def history(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History:
        """What was said before. Raises NotFound, and what the database's absence raises."""
        if conversation is None:
            return await self._load(
                tenant_id, conversation=None, previous_response=previous_response
            )
        kept = await self._read(tenant_id, conversation)
        if kept is not None and kept.version == await self._version(
            tenant_id, conversation=conversation
        ):
            return kept
        history = await self._load(tenant_id, conversation=conversation, previous_response=None)
        await self._keep(tenant_id, conversation, history)
        return history

    async def _read(self, tenant_id: int, conversation: str) -> History | None:
        try:
            packed = await self._redis.get(context_key(tenant_id, conversation))
        except (redis.RedisError, OSError) as error:
            log.debug("context cache: read failed (error=%s)", error.__class__.__name__)
            return None
        return decode(packed, decoder, reader="context") if packed else None

    async def _keep(self, tenant_id: int, conversation: str, history: History) -> None:
        packed = encode(history)
        if len(packed) > MAX_HISTORY_BYTES:
            return
        key = context_key(tenant_id, conversation)
        try:
            await self._redis.eval(KEEP, 1, key, packed, str(SECONDS))
        except (redis.RedisError, OSError) as error:
            log.debug("context cache: write failed (error=%s)", error.__class__.__name__)
