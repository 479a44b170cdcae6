"""Keys of kept answers, and the two tiers that keep them. Both tenants, one Redis."""

from dataclasses import replace

import msgspec
import pytest
from django.conf import settings

from agents.erasure.cached_responses import erase_cached_responses, erase_responses_of
from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.response_cache import redis_store
from agents.runtime.response_cache.cache import (
    MAX_RESPONSE_BYTES,
    CachedResponse,
    ResponseCache,
    cache_key,
)
from agents.runtime.response_cache.keys import index_key
from agents.runtime.response_cache.memory import ENTRY_OVERHEAD_BYTES, MemoryCache
from agents.runtime.response_cache.redis_store import RedisCacheStore
from inference.relay.schema import (
    ChatMessage,
    ChatRequest,
    FunctionTool,
    StreamOptions,
    ToolDefinition,
)
from kernel.storage.redis import connect_async
from tests.fixtures.gateway import in_database

AGENT = PublishedAgent(
    slug="helper", name="Helper", revision=1, instructions="", route="tiny",
    response_cache="always", cache_seconds=60,
)  # fmt: skip
ACME, RIVAL = 990_001, 990_002


def asked(content="hello", **fields):
    return ChatRequest(
        model="helper", messages=[ChatMessage(role="user", content=content)], **fields
    )


def key(request=None, *, tenant_id=ACME, agent=AGENT, route="tiny"):
    return cache_key(request or asked(), tenant_id=tenant_id, agent=agent, route=route)


SAME = [
    {"stream": True},
    {"stream_options": StreamOptions(include_usage=True)},
    {"user": "u1"},
    {"n": 1},
]
DIFFERENT = [
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"max_tokens": 5},
    {"seed": 1},
    {"stop": "x"},
    {"response_format": {"type": "json_object"}},
    {"tools": [ToolDefinition(function=FunctionTool(name="f"))]},
    {"tool_choice": "none"},
    {"logit_bias": {"1": 2.0}},
]


@pytest.mark.parametrize("fields", SAME)
def test_how_an_answer_is_delivered_makes_no_other_key(fields):
    assert key(asked(**fields)) == key()


def test_a_limit_is_the_same_under_both_names():
    assert key(asked(max_tokens=5)) == key(asked(max_completion_tokens=5))


@pytest.mark.parametrize("fields", DIFFERENT)
def test_whatever_changes_an_answer_makes_another_key(fields):
    assert key(asked(**fields)).digest != key().digest


def test_the_same_prompt_of_another_tenant_has_another_key():
    assert key(tenant_id=RIVAL).digest != key().digest


@pytest.mark.parametrize("facts", [{"revision": 2}, {"slug": "other"}])
def test_another_revision_or_agent_has_another_key(facts):
    assert key(agent=replace(AGENT, **facts)).digest != key().digest


def test_another_route_has_another_key():
    assert key(route="huge").digest != key().digest


def test_the_whole_input_counts_and_not_its_shape():
    one = asked("a")
    one.messages.append(ChatMessage(role="user", content="b"))

    assert len({key(each).digest for each in (one, asked("ab"), asked("a"), asked("a\nb"))}) == 4


@pytest.mark.parametrize(
    ("policy", "temperature", "kept"),
    [
        *(("off", 0, False), ("off", None, False)),
        *(
            ("deterministic", 0, True),
            ("deterministic", 0.1, False),
            ("deterministic", None, False),
        ),
        *(("always", 0, True), ("always", 1, True), ("always", None, True)),
    ],
)
def test_the_policy_says_what_is_kept(policy, temperature, kept):
    agent = replace(AGENT, response_cache=policy)

    assert (key(asked(temperature=temperature), agent=agent) is not None) is kept


@pytest.mark.parametrize("fields", [{"n": 2}, {"logprobs": True}, {"top_logprobs": 3}])
def test_what_is_more_than_one_text_is_not_kept(fields):
    assert key(asked(**fields)) is None


def test_memory_is_bounded_and_drops_what_was_not_read_for_longest():
    memory = MemoryCache(max_bytes=3 * (10 + ENTRY_OVERHEAD_BYTES))
    for name in "abc":
        memory.write(1, name, b"x" * 10)
    memory.read(1, "a")

    memory.write(1, "d", b"x" * 10)

    assert [memory.read(1, name) is not None for name in "abcd"] == [True, False, True, True]
    assert memory.size == 3 * (10 + ENTRY_OVERHEAD_BYTES)


def test_memory_counts_a_value_that_is_written_again_once():
    memory = MemoryCache()
    for size in (10, 20, 5):
        memory.write(1, "a", b"x" * size)

    assert memory.size == 5 + ENTRY_OVERHEAD_BYTES


def test_memory_forgets_one_tenant():
    memory = MemoryCache()
    memory.write(1, "a", b"x")
    memory.write(2, "a", b"y")

    memory.forget(1)

    assert (memory.read(1, "a"), memory.read(2, "a")) == (None, b"y")


class Workers:
    """Gateway workers that share a Redis, and a clock that can be set."""

    def __init__(self, client):
        self.client = client
        self.now = 1000.0

    def join(self) -> ResponseCache:
        return ResponseCache(RedisCacheStore(self.client), clock=lambda: self.now)


@pytest.fixture
async def workers():
    client = connect_async(settings.REDIS_URL)
    for tenant in (ACME, RIVAL):
        names = [name async for name in client.scan_iter(f"tenantry:{tenant}:*")]
        if names:
            await client.unlink(*names)
    yield Workers(client)
    await client.aclose()


HELLO = CachedResponse(text="hello yourself", prompt_tokens=3, completion_tokens=2, created=5)


async def found(worker, of=None):
    answer = await worker.find(of or key(), route="tiny")
    return answer and answer.text


async def test_what_one_worker_kept_another_finds(workers):
    await workers.join().put(key(), HELLO)

    assert await found(workers.join()) == HELLO.text


async def test_an_answer_is_its_tenants_alone(workers):
    one = workers.join()
    await one.put(key(), HELLO)

    for worker in (one, workers.join()):
        assert await found(worker, key(tenant_id=RIVAL)) is None
        # Even under the same digest, which nobody can bring about.
        forged = msgspec.structs.replace(key(), tenant_id=RIVAL)
        assert await found(worker, forged) is None


async def test_an_expired_answer_is_not_given_from_either_tier(workers):
    one = workers.join()
    await one.put(key(), HELLO)

    workers.now += 59
    assert await found(one) == await found(workers.join()) == HELLO.text
    workers.now += 1
    assert await found(one) is await found(workers.join()) is None


async def test_redis_forgets_by_itself(workers):
    await workers.join().put(key(), HELLO)

    names = [name async for name in workers.client.scan_iter(f"tenantry:{ACME}:*")]

    assert len(names) == 2
    assert all([0 < await workers.client.ttl(name) <= 60 for name in names])


async def test_a_list_lives_as_long_as_its_longest_answer(workers):
    worker = workers.join()
    long = key(agent=replace(AGENT, cache_seconds=600))
    await worker.put(long, HELLO)
    await worker.put(key(asked("short")), HELLO)

    assert await workers.client.ttl(index_key(ACME)) > 590


async def test_a_huge_answer_is_not_kept(workers):
    await workers.join().put(key(), CachedResponse(text="x" * MAX_RESPONSE_BYTES))

    assert await found(workers.join()) is None


async def test_what_another_version_wrote_is_not_read(workers):
    one = workers.join()
    await one.put(key(), HELLO)
    (name,) = [name async for name in workers.client.scan_iter(f"tenantry:{ACME}:answer:*")]
    await workers.client.set(name, b'{"words": 1}', keepttl=True)

    assert await found(workers.join()) is None


async def test_a_tenant_keeps_so_many_answers_and_no_more(workers, monkeypatch):
    monkeypatch.setattr(redis_store, "MAX_RESPONSES_PER_TENANT", 3)
    worker = workers.join()
    for number in range(5):
        await worker.put(key(asked(f"question {number}")), HELLO)

    names = [name async for name in workers.client.scan_iter(f"tenantry:{ACME}:answer:*")]

    assert (len(names), await workers.client.zcard(index_key(ACME))) == (3, 3)


async def test_erasing_a_tenant_leaves_the_other_tenants_answers(workers, transactional_db):
    worker = workers.join()
    for tenant in (ACME, RIVAL):
        for number in range(3):
            await worker.put(key(asked(f"q{number}"), tenant_id=tenant), HELLO, tag="conv_1")

    assert await in_database(erase_cached_responses, ACME) == 3

    fresh = workers.join()
    assert await found(fresh, key(asked("q1"))) is None
    assert await found(fresh, key(asked("q1"), tenant_id=RIVAL)) == HELLO.text


async def test_erasing_a_conversation_leaves_the_others(workers, transactional_db):
    worker = workers.join()
    await worker.put(key(asked("q1")), HELLO, tag="conv_1")
    await worker.put(key(asked("q2")), HELLO, tag="conv_2")
    await worker.put(key(asked("q1"), tenant_id=RIVAL), HELLO, tag="conv_1")

    assert await in_database(erase_responses_of, ACME, conversations=["conv_1", "conv_9"]) == 1

    fresh = workers.join()
    assert await found(fresh, key(asked("q1"))) is None
    assert await found(fresh, key(asked("q2"))) == HELLO.text
    assert await found(fresh, key(asked("q1"), tenant_id=RIVAL)) == HELLO.text


async def test_without_redis_nothing_is_found_and_nothing_fails():
    worker = Workers(connect_async("redis://127.0.0.1:9/0", timeout=0.2)).join()

    await worker.put(key(), HELLO)

    assert await found(worker) == HELLO.text
    assert await found(worker, key(asked("other"))) is None
