"""The cache of histories: it saves reading, and is never believed when it is old."""

import pytest
from django.conf import settings

from agents.redis_keys import context_key
from agents.runtime.context.history_cache import ERASED, ContextCache
from agents.schema.history import History
from agents.schema.items import user_message
from kernel.errors import NotFound
from kernel.storage.redis import connect_async

ACME, RIVAL = 1, 2


class Store:
    """A conversation of acme, and how often it was read."""

    def __init__(self):
        self.history = History(items=(user_message("one"),), conversation="conv_1", version=1)
        self.loads = 0

    async def load(self, tenant_id, *, conversation, previous_response):
        self.loads += 1
        if tenant_id != ACME:
            raise NotFound
        return self.history

    async def version(self, tenant_id, *, conversation):
        if tenant_id != ACME:
            raise NotFound
        return self.history.version

    def say(self, text):
        items = (*self.history.items, user_message(text))
        self.history = History(items=items, conversation="conv_1", version=len(items))


@pytest.fixture
def store():
    return Store()


@pytest.fixture
async def redis():
    client = connect_async(settings.REDIS_URL)
    await client.delete(context_key(ACME, "conv_1"))
    yield client
    await client.delete(context_key(ACME, "conv_1"))
    await client.aclose()


def cache_of(store, redis):
    return ContextCache(redis, load=store.load, version=store.version)


async def ask(cache, tenant_id=ACME):
    return await cache.history(tenant_id, conversation="conv_1", previous_response=None)


async def test_a_second_gateway_continues_without_reading_the_items(store, redis):
    first = await ask(cache_of(store, redis))
    second = await ask(cache_of(store, redis))

    assert first == second == store.history
    assert store.loads == 1


async def test_what_was_said_since_is_never_missed(store, redis):
    cache = cache_of(store, redis)
    await ask(cache)
    store.say("two")

    assert await ask(cache) == store.history
    assert await ask(cache) == store.history
    assert store.loads == 2


async def test_a_copy_is_forgotten_after_a_while(store, redis):
    await ask(cache_of(store, redis))

    assert 0 < await redis.ttl(context_key(ACME, "conv_1")) <= 900


async def test_an_erased_conversation_does_not_come_back(store, redis):
    """A run that had read the history before finds a mark where it would keep it."""
    await redis.set(context_key(ACME, "conv_1"), ERASED)

    await ask(cache_of(store, redis))

    assert await redis.get(context_key(ACME, "conv_1")) == ERASED


async def test_what_is_not_understood_is_read_anew(store, redis):
    await redis.set(context_key(ACME, "conv_1"), b"\xc1 of another version")

    assert await ask(cache_of(store, redis)) == store.history


async def test_another_tenant_gets_nothing_from_it(store, redis):
    cache = cache_of(store, redis)
    await ask(cache)

    with pytest.raises(NotFound):
        await ask(cache, RIVAL)


async def test_without_redis_the_items_are_read(store):
    client = connect_async("redis://127.0.0.1:1/0")

    assert await ask(cache_of(store, client)) == store.history
    await client.aclose()
