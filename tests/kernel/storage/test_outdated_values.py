"""A change just before an outage leaves the last known value in use, until the new one is there."""

import asyncio

import pytest

from kernel.storage.cache import OUTDATED_TIMEOUT_SECONDS, RETRY_SECONDS, TIMEOUT_SECONDS
from tests.kernel.storage.test_cache import Away, Source, asking


@pytest.fixture
async def source():
    return Source()


async def test_an_outdated_value_is_loaded_anew(source):
    cache = source.cache()
    await cache.get("k")
    source.value = "new"
    cache.mark_outdated(lambda key, value: (key, value) == ("k", "k:old"))
    assert await cache.get("k") == "k:new"
    assert await cache.get("k") == "k:new"
    assert source.loads == 2


async def test_only_what_is_named_is_outdated(source):
    cache = source.cache()
    await cache.get("a")
    await cache.get("b")
    cache.mark_outdated(lambda key, _: key == "a")
    await cache.get("b")
    assert source.loads == 2


async def test_in_an_outage_the_outdated_value_serves_until_it_is_too_old(source):
    cache = source.cache()
    await cache.get("k")
    source.failing = Away()
    cache.mark_outdated(lambda *_: True)
    assert await cache.get("k") == "k:old"
    source.now = 59
    assert await cache.get("k") == "k:old"
    source.now = 60
    with pytest.raises(Away):
        await cache.get("k")


async def test_after_the_outage_the_outdated_value_is_replaced(source):
    cache = source.cache()
    await cache.get("k")
    source.failing = Away()
    cache.mark_outdated(lambda *_: True)
    await cache.get("k")
    source.failing, source.value, source.now = None, "new", RETRY_SECONDS
    assert await cache.get("k") == "k:new"


async def test_a_source_that_hangs_is_waited_for_once(source):
    cache = source.cache()
    await cache.get("k")
    source.open.clear()
    cache.mark_outdated(lambda *_: True)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await cache.get("k") == "k:old"
    waited = loop.time()
    assert await cache.get("k") == "k:old"
    assert waited - began >= OUTDATED_TIMEOUT_SECONDS
    assert loop.time() - waited < TIMEOUT_SECONDS
    source.open.set()


async def test_a_value_whose_load_began_before_it_was_outdated_is_not_kept(source):
    cache = source.cache()
    source.open.clear()
    (early,) = await asking(cache)
    await asyncio.sleep(0)
    source.value = "new"
    cache.mark_outdated(lambda *_: True)
    source.open.set()
    await early
    assert await cache.get("k") == "k:new"


async def test_what_was_invalidated_does_not_come_back_by_being_outdated(source):
    cache = source.cache()
    await cache.get("k")
    cache.mark_outdated(lambda *_: True)
    cache.invalidate(lambda *_: True)
    source.failing = Away()
    with pytest.raises(Away):
        await cache.get("k")


async def fails_after(source, cache, seconds):
    source.open.clear()
    (task,) = await asking(cache)
    await asyncio.sleep(0)
    source.now += seconds
    source.failing = Away()
    source.open.set()
    with pytest.raises(Away):
        await task


async def test_a_load_that_failed_late_is_not_tried_by_every_caller(source):
    cache = source.cache()
    await fails_after(source, cache, 1.7)
    for _ in range(5):
        with pytest.raises(Away):
            await cache.get("k")
    assert source.loads == 1
    source.failing, source.now = None, source.now + RETRY_SECONDS
    assert await cache.get("k") == "k:old"


async def test_a_failure_of_one_key_is_not_another_ones(source):
    cache = source.cache()
    await fails_after(source, cache, 1.7)
    source.failing = None
    assert await cache.get("other") == "other:old"


async def test_a_failure_is_forgotten_with_the_next_change(source):
    cache = source.cache()
    await fails_after(source, cache, 1.7)
    source.failing = None
    cache.mark_outdated(lambda *_: True)
    assert await cache.get("k") == "k:old"


async def test_a_value_that_was_being_loaded_when_it_was_outdated_serves_in_an_outage(source):
    cache = source.cache()
    source.open.clear()
    (early,) = await asking(cache)
    await asyncio.sleep(0)
    cache.mark_outdated(lambda *_: True)
    source.open.set()
    await early
    source.failing = Away()
    assert await cache.get("k") == "k:old"


async def test_a_value_that_was_being_loaded_when_it_was_invalidated_does_not(source):
    cache = source.cache()
    source.open.clear()
    (early,) = await asking(cache)
    await asyncio.sleep(0)
    cache.mark_outdated(lambda *_: True)
    cache.invalidate(lambda *_: True)
    source.open.set()
    await early
    source.failing = Away()
    with pytest.raises(Away):
        await cache.get("k")
