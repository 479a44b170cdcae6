"""Following: every change is heard of once, soon when pushed and in a second when not."""

import asyncio

import pytest
from django.conf import settings

from kernel.errors import Overloaded
from kernel.publishing.follower import Follower
from kernel.storage.redis import connect, connect_async
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.valkey import valkey

CHANNEL = "tenantry:test-published"


class Table:
    """What was published, as a table that can be away."""

    def __init__(self):
        self.rows = []
        self.handled = []
        self.away = False
        self.polls = 0

    def publish(self, topic):
        self.rows.append((len(self.rows) + 1, topic))

    async def poll(self, seen):
        self.polls += 1
        if self.away:
            raise Overloaded
        return [row for row in self.rows if row[0] > seen]

    async def handle(self, topic):
        self.handled.append(topic)

    async def until_handled(self, *topics, within):
        async with asyncio.timeout(within):
            while self.handled != list(topics):
                await asyncio.sleep(0.005)


@pytest.fixture
async def table():
    return Table()


class Following:
    """A follower that runs."""

    def __init__(self, table, url):
        self.url = url
        self.redis = connect_async(url, timeout=None)
        self.follower = Follower(
            poll=table.poll, handle=table.handle, redis=self.redis, channel=CHANNEL
        )

    async def __aenter__(self):
        self.tasks = [
            asyncio.create_task(self.follower.follow()),
            asyncio.create_task(self.follower.listen()),
        ]
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.redis.aclose()

    async def push(self):
        """Push, once somebody hears it."""
        async with asyncio.timeout(5):
            while not await asyncio.to_thread(self.push_now):
                await asyncio.sleep(0.02)

    def push_now(self):
        with connect(self.url) as client:
            return client.publish(CHANNEL, "1")


async def settle():
    """Wait until the follower has subscribed, woken once and sleeps."""
    await asyncio.sleep(0.15)


async def test_what_was_published_before_the_start_is_handled_in_order(table):
    for topic in "abc":
        table.publish(topic)

    async with Following(table, settings.REDIS_URL):
        await table.until_handled("a", "b", "c", within=0.5)


async def test_a_push_is_followed_at_once(table):
    async with Following(table, settings.REDIS_URL) as following:
        await settle()
        table.publish("a")
        await following.push()

        await table.until_handled("a", within=0.2)


async def test_a_push_that_was_lost_costs_a_second(table):
    async with Following(table, settings.REDIS_URL):
        await settle()
        table.publish("a")

        await table.until_handled("a", within=1.2)


async def test_a_change_is_handled_once_however_often_it_is_pushed(table):
    table.publish("a")
    async with Following(table, settings.REDIS_URL) as following:
        for _ in range(3):
            await following.push()
            await settle()

    assert table.handled == ["a"]


async def test_a_follower_without_news_does_not_poll_more_than_once_a_second(table):
    async with Following(table, settings.REDIS_URL):
        await asyncio.sleep(1.5)

    assert table.polls <= 4


async def test_the_follower_goes_on_while_postgresql_is_away(table):
    table.away = True
    async with Following(table, settings.REDIS_URL) as following:
        await settle()
        table.publish("a")
        table.away = False
        await following.push()

        await table.until_handled("a", within=0.2)


async def test_a_topic_whose_handling_failed_is_handled_again(table):
    failures = [Overloaded()]

    async def handle(topic):
        if failures:
            raise failures.pop()
        await Table.handle(table, topic)

    table.handle = handle
    table.publish("a")
    table.publish("b")
    async with Following(table, settings.REDIS_URL):
        await table.until_handled("a", "b", within=1.5)


async def test_an_error_that_is_a_bug_ends_the_follower(table):
    async def handle(topic):
        raise ZeroDivisionError

    table.handle = handle
    table.publish("a")
    async with Following(table, settings.REDIS_URL) as following:
        await asyncio.wait({following.tasks[0]}, timeout=1)

        assert isinstance(following.tasks[0].exception(), ZeroDivisionError)


@pytest.mark.parametrize("turns", range(6))
async def test_it_stops_although_a_push_comes_in_the_same_moment(table, turns):
    following = Following(table, settings.REDIS_URL)
    task = asyncio.create_task(following.follower.follow())
    await asyncio.sleep(0.01)
    following.follower._woken.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()

    stopped, _ = await asyncio.wait({task}, timeout=0.5)

    assert stopped
    await following.redis.aclose()


@pytest.fixture
def port():
    return free_port()


async def test_without_redis_changes_are_found_by_polling(table, port):
    async with Following(table, f"redis://127.0.0.1:{port}/0"):
        await settle()
        table.publish("a")

        await table.until_handled("a", within=1.2)


async def test_pushes_are_heard_again_after_redis_was_killed(table, port):
    async with Following(table, f"redis://127.0.0.1:{port}/0") as following:
        with valkey(port):
            await following.push()
        table.publish("while away")
        await table.until_handled("while away", within=1.2)

        with valkey(port):
            await following.push()
            await settle()
            table.publish("after")
            await following.push()
            await table.until_handled("while away", "after", within=0.3)
