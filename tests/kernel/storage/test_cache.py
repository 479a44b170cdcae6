"""The loading cache: one load for many callers, and nothing stale comes back."""

import asyncio
import gc

import pytest

from kernel.storage.cache import RETRY_SECONDS, TIMEOUT_SECONDS, LoadingCache


class Away(Exception):
    """The source does not answer."""


class Source:
    """What is loaded from: slow when held, failing when told to."""

    def __init__(self):
        self.value = "old"
        self.loads = 0
        self.now = 0.0
        self.failing = None
        self.open = asyncio.Event()
        self.open.set()

    async def load(self, key):
        self.loads += 1
        value = self.value
        await self.open.wait()
        if self.failing:
            raise self.failing
        return f"{key}:{value}"

    def cache(self, **options):
        options = {"ttl": 10, "stale": 60, "outages": (Away,), **options}
        return LoadingCache(self.load, clock=lambda: self.now, **options)


@pytest.fixture
async def source():
    return Source()


async def asking(cache, *, callers=1, key="k"):
    """Callers that wait for the load."""
    tasks = [asyncio.create_task(cache.get(key)) for _ in range(callers)]
    await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize(("seconds", "loads"), [(9.9, 1), (10, 2), (100, 2)])
async def test_a_value_is_fresh_for_its_time(source, seconds, loads):
    cache = source.cache()
    await cache.get("k")

    source.now = seconds
    await cache.get("k")

    assert source.loads == loads


async def test_a_value_is_as_old_as_the_beginning_of_its_load(source):
    cache = source.cache()
    source.open.clear()
    (task,) = await asking(cache)
    await asyncio.sleep(0)
    source.now = 11
    source.open.set()
    await task

    await cache.get("k")

    assert source.loads == 2


async def test_a_hundred_callers_share_one_load(source):
    source.open.clear()
    tasks = await asking(source.cache(), callers=100)
    source.open.set()

    assert set(await asyncio.gather(*tasks)) == {"k:old"}
    assert source.loads == 1


async def test_keys_do_not_wait_for_each_other(source):
    cache = source.cache()
    source.open.clear()
    tasks = [*await asking(cache, key="a"), *await asking(cache, key="b")]
    source.open.set()

    assert await asyncio.gather(*tasks) == ["a:old", "b:old"]


async def test_a_caller_that_leaves_takes_nothing_from_the_others(source):
    source.open.clear()
    first, second = await asking(source.cache(), callers=2)
    first.cancel()
    await asyncio.sleep(0)
    source.open.set()

    assert await second == "k:old"
    assert source.loads == 1


async def test_a_load_that_failed_is_tried_again(source):
    cache = source.cache()
    source.failing = Away()
    with pytest.raises(Away):
        await cache.get("k")

    source.failing = None

    assert await cache.get("k") == "k:old"


async def test_all_waiting_callers_learn_of_a_failure(source):
    source.open.clear()
    tasks = await asking(source.cache(), callers=5)
    source.failing = Away()
    source.open.set()

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(each) for each in outcomes] == [Away] * 5


@pytest.mark.parametrize("seconds", [10, 59.9])
async def test_in_an_outage_the_last_value_serves(source, seconds):
    cache = source.cache()
    await cache.get("k")

    source.now, source.failing = seconds, Away()

    assert await cache.get("k") == "k:old"


async def test_a_value_that_is_too_old_does_not_serve_in_an_outage(source):
    cache = source.cache()
    await cache.get("k")
    source.now, source.failing = 60, Away()

    with pytest.raises(Away):
        await cache.get("k")


async def test_an_error_that_is_no_outage_is_not_hidden(source):
    cache = source.cache()
    await cache.get("k")
    source.now, source.failing = 11, ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        await cache.get("k")


async def test_after_an_outage_the_value_is_loaded_anew(source):
    cache = source.cache()
    await cache.get("k")
    source.now, source.failing = 11, Away()
    await cache.get("k")

    source.failing, source.value = None, "new"
    source.now = 11 + RETRY_SECONDS

    assert await cache.get("k") == "k:new"


async def test_a_source_that_hangs_is_waited_for_once_and_not_long(source):
    cache = source.cache()
    await cache.get("k")
    source.now = 11
    source.open.clear()
    loop = asyncio.get_running_loop()

    began = loop.time()
    first = await cache.get("k")
    waited = loop.time()
    again = await cache.get("k")

    assert (first, again) == ("k:old", "k:old")
    assert TIMEOUT_SECONDS <= waited - began < 4 * TIMEOUT_SECONDS
    assert loop.time() - waited < TIMEOUT_SECONDS / 2
    source.open.set()


async def test_an_invalidated_value_is_loaded_anew(source):
    cache = source.cache()
    await cache.get("k")
    source.value = "new"

    cache.invalidate(lambda key, value: (key, value) == ("k", "k:old"))

    assert await cache.get("k") == "k:new"


async def test_only_what_is_named_is_invalidated(source):
    cache = source.cache()
    await cache.get("a")
    await cache.get("b")

    cache.invalidate(lambda key, _: key == "a")
    await cache.get("b")

    assert source.loads == 2


async def test_a_value_that_was_being_loaded_when_it_was_invalidated_is_not_kept(source):
    cache = source.cache()
    source.open.clear()
    (early,) = await asking(cache)
    await asyncio.sleep(0)

    source.value = "new"
    cache.invalidate(lambda *_: True)
    source.open.set()
    await early

    assert await cache.get("k") == "k:new"


async def test_a_load_from_before_does_not_replace_the_load_from_after(source):
    cache = source.cache()
    source.open.clear()
    (early,) = await asking(cache)
    await asyncio.sleep(0)
    cache.invalidate(lambda *_: True)
    source.value = "new"
    (late,) = await asking(cache)
    await asyncio.sleep(0)
    source.open.set()

    assert await asyncio.gather(early, late) == ["k:old", "k:new"]
    assert await cache.get("k") == "k:new"
    assert source.loads == 2


async def test_an_invalidated_value_does_not_serve_in_an_outage(source):
    cache = source.cache()
    await cache.get("k")
    source.now = 11
    source.open.clear()
    (waiting,) = await asking(cache)

    cache.invalidate(lambda *_: True)
    source.failing = Away()
    source.open.set()

    with pytest.raises(Away):
        await waiting


async def test_the_cache_is_bounded(source):
    cache = source.cache(size=3)

    for key in "abcde":
        await cache.get(key)

    assert list(cache._entries) == ["c", "d", "e"]


async def test_a_failure_that_nobody_waits_for_is_no_complaint(source):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    source.open.clear()
    (task,) = await asking(source.cache())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)

    source.failing = Away()
    source.open.set()
    await asyncio.sleep(0.01)
    gc.collect()

    assert not complaints


async def test_no_load_is_left_behind(source):
    cache = source.cache()
    await cache.get("a")
    source.failing = Away()
    with pytest.raises(Away):
        await cache.get("b")

    assert not cache._loads
