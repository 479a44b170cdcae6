"""The response cache: which responses are cached, under which key, and for how long.

Two tiers: this worker's memory, and Redis for all workers. A response that is lost is generated
again.
"""

import time
from collections.abc import Callable
from hashlib import blake2b

import msgspec

from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.response_cache.keys import CacheKey
from agents.runtime.response_cache.memory import MemoryCache
from agents.runtime.response_cache.redis_store import RedisCacheStore
from inference.relay.encoding import UNSENT_PARAMETERS
from inference.relay.schema import ChatRequest
from kernel import metrics
from kernel.storage.shared_values import read_json

OFF, DETERMINISTIC, ALWAYS = "off", "deterministic", "always"
VERSION = 1
"""The version of keys and values; entries of other versions are not found."""
MAX_RESPONSE_BYTES = 256 * 1024
HIT = (b"x-tenantry-cache", b"hit")
"""The header of a cached response."""

ENCODER = msgspec.json.Encoder(order="sorted")


class CachedResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A complete response without tool calls, which any door can render."""

    text: str
    reasoning: str = ""
    prompt_tokens: int = 0
    """The usage of the model call; a cached response uses no tokens."""
    completion_tokens: int = 0
    created: int = 0
    """Seconds since 1970."""
    expires: float = 0.0


def cache_key(
    request: ChatRequest, *, tenant_id: int, agent: PublishedAgent, route: str
) -> CacheKey | None:
    """Return the key of an engine request; None if its response must not be cached.

    Equal keys mean: same tenant, same revision, same route, and equal values of all parameters
    that change a response. Streaming and the user do not.
    """
    if not may_repeat(request, agent):
        return None
    same = msgspec.structs.replace(
        request,
        model="",
        max_tokens=request.max_completion_tokens or request.max_tokens,
        max_completion_tokens=None,
        n=None,
        stream=None,
        stream_options=None,
        **UNSENT_PARAMETERS,
    )
    place = (VERSION, tenant_id, agent.slug, agent.revision, route)
    digest = blake2b(ENCODER.encode(place), digest_size=32)
    digest.update(ENCODER.encode(same))
    return CacheKey(tenant_id=tenant_id, digest=digest.hexdigest(), seconds=agent.cache_seconds)


def may_repeat(request: ChatRequest, agent: PublishedAgent) -> bool:
    """Return whether the agent's policy allows caching, and the response is a single text."""
    if (
        agent.response_cache == OFF
        or (request.n or 1) > 1
        or request.logprobs
        or request.top_logprobs
    ):
        return False
    return agent.response_cache == ALWAYS or request.temperature == 0


class ResponseCache:
    """Finds and stores responses: in memory first, then with one read of the store."""

    def __init__(self, store: RedisCacheStore, *, clock: Callable[[], float] = time.time) -> None:
        """`clock` returns seconds since 1970."""
        self._memory = MemoryCache()
        self._store = store
        self._clock = clock

    async def find(self, key: CacheKey, *, route: str) -> CachedResponse | None:
        """Return the response, if one is cached and has not expired. `route` labels the metric."""
        value, tier = self._memory.read(key.tenant_id, key.digest), "memory"
        if value is None:
            value, tier = await self._store.read(key), "redis"
        answer = read_cached_response(value)
        if answer is None or answer.expires <= self._clock():
            return None
        if tier == "redis" and value is not None:
            self._memory.write(key.tenant_id, key.digest, value)
        metrics.series(metrics.cache_hits, route, tier).inc()
        return answer

    async def put(self, key: CacheKey, answer: CachedResponse, *, tag: str = "") -> None:
        """Store a complete response. `tag` names the conversation with which it is erased."""
        expires = self._clock() + key.seconds
        value = msgspec.json.encode(msgspec.structs.replace(answer, expires=expires))
        if len(value) > MAX_RESPONSE_BYTES:
            return
        self._memory.write(key.tenant_id, key.digest, value)
        await self._store.write(key, value, tag=tag)

    def forget_tenant(self, tenant_id: int) -> None:
        """Drop a tenant's responses from memory, after some of them were erased."""
        self._memory.forget(tenant_id)


def read_cached_response(value: bytes | None) -> CachedResponse | None:
    """Return the response. None also for a value of another version of the platform."""
    return read_json(value, CachedResponse, reader="kept_answer")
