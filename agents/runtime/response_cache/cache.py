"""Answers that may be given again: which, under what key, and for how long.

Two tiers: this worker's memory, and Redis for all workers. Neither is the only copy of anything:
what is lost is asked of a model again.
"""

import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Protocol

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.response_cache.memory import MemoryCache
from inference.relay.encoding import NOTES
from inference.relay.schema import ChatRequest
from kernel import metrics
from kernel.storage.shared_values import read_json

OFF, DETERMINISTIC, ALWAYS = "off", "deterministic", "always"
VERSION = 1
"""Of what a key stands for and of how an answer is written; an old one is never found again."""
MAX_RESPONSE_BYTES = 256 * 1024
HIT = (b"x-tenantry-cache", b"hit")
"""The header of an answer that was given before."""

ENCODER = msgspec.json.Encoder(order="sorted")


class CacheKey(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer is kept: always under its tenant."""

    tenant_id: int
    digest: str
    seconds: int
    """For which an answer may be given again."""


class CachedResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A complete answer without tool calls, as any door can tell it."""

    text: str
    reasoning: str = ""
    prompt_tokens: int = 0
    """Of the model, when it was asked; giving the answer again takes none."""
    completion_tokens: int = 0
    created: int = 0
    """Seconds since 1970."""
    expires: float = 0.0


class CacheStore(Protocol):
    """The tier that workers share. It keeps silent about its own failures: nothing is found."""

    async def read(self, key: CacheKey) -> bytes | None: ...

    async def write(self, key: CacheKey, value: bytes, *, tag: str) -> None: ...


def cache_key(
    asked: ChatRequest, *, tenant_id: int, agent: PublishedAgent, route: str
) -> CacheKey | None:
    """The key of `asked` as the engine would get it; None if its answer is not to be kept.

    Equal keys mean: same tenant, same revision, same route, and an equal request in all that
    changes an answer. How it is delivered, and to which user, does not.
    """
    if not may_repeat(asked, agent):
        return None
    same = msgspec.structs.replace(
        asked,
        model="",
        max_tokens=asked.max_completion_tokens or asked.max_tokens,
        max_completion_tokens=None,
        n=None,
        stream=None,
        stream_options=None,
        **NOTES,
    )
    place = (VERSION, tenant_id, agent.slug, agent.revision, route)
    digest = blake2b(ENCODER.encode(place), digest_size=32)
    digest.update(ENCODER.encode(same))
    return CacheKey(tenant_id=tenant_id, digest=digest.hexdigest(), seconds=agent.cache_seconds)


def may_repeat(asked: ChatRequest, agent: PublishedAgent) -> bool:
    """Whether the agent's policy lets an answer be given again, and whether it is a single text."""
    if agent.response_cache == OFF or (asked.n or 1) > 1 or asked.logprobs or asked.top_logprobs:
        return False
    return agent.response_cache == ALWAYS or asked.temperature == 0


class ResponseCache:
    """Finds and keeps answers. Cheap to ask: memory first, then one read of the shelf."""

    def __init__(self, shelf: CacheStore, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells seconds since 1970."""
        self._memory = MemoryCache()
        self._shelf = shelf
        self._clock = clock

    async def find(self, key: CacheKey, *, route: str) -> CachedResponse | None:
        """The answer, if one is kept that has not expired. `route` labels the metric."""
        value, tier = self._memory.read(key.tenant_id, key.digest), "memory"
        if value is None:
            value, tier = await self._shelf.read(key), "redis"
        answer = read_cached_response(value)
        if answer is None or answer.expires <= self._clock():
            return None
        if tier == "redis" and value is not None:
            self._memory.write(key.tenant_id, key.digest, value)
        metrics.series(metrics.cache_hits, route, tier).inc()
        return answer

    async def keep(self, key: CacheKey, answer: CachedResponse, *, tag: str = "") -> None:
        """Keep a complete answer. `tag` names the conversation with which it is to be erased."""
        expires = self._clock() + key.seconds
        value = msgspec.json.encode(msgspec.structs.replace(answer, expires=expires))
        if len(value) > MAX_RESPONSE_BYTES:
            return
        self._memory.write(key.tenant_id, key.digest, value)
        await self._shelf.write(key, value, tag=tag)

    def forget_tenant(self, tenant_id: int) -> None:
        """Drop what this worker keeps of a tenant: answers of it were erased."""
        self._memory.forget(tenant_id)


def read_cached_response(value: bytes | None) -> CachedResponse | None:
    """None also for what another version of us has written."""
    return read_json(value, CachedResponse, reader="kept_answer")
