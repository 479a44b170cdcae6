"""A change is published, and in that moment PostgreSQL goes away: what is known stays in force."""

import asyncio
import time

import pytest
from asgiref.sync import sync_to_async

from config.settings.base import DATABASE_WAIT_SECONDS
from tests.fixtures.database.demotion import database_nowhere

pytestmark = pytest.mark.usefixtures("tiny")

REQUESTS = 30
TOPICS = [
    "limits:{tenant}",
    "limits:0",
    "principals:{tenant}",
    "agents:{tenant}",
    "answers:{tenant}",
]
NARROWING = ["key:{key}", "suspended:{tenant}"]
UNKNOWN = ["limits:", "limits:x", "key:", "principals:-1", "new:1", "", ":", "fleet:1"]


class NoDatabase:
    """`database_nowhere` for an event loop."""

    def __init__(self):
        self._block = database_nowhere()

    async def __aenter__(self):
        await sync_to_async(self._block.__enter__, thread_sensitive=False)()

    async def __aexit__(self, *failure):
        await sync_to_async(self._block.__exit__, thread_sensitive=False)(*failure)


async def publish(gateway, member, topic):
    key = member.key.split("_")[1]
    await gateway.worker.publications.handle(topic.format(tenant=member.tenant.pk, key=key))


@pytest.mark.slow
@pytest.mark.parametrize("topic", TOPICS)
async def test_the_last_known_value_stays_until_the_new_one_is_there(gateway, acme, topic):
    assert (await gateway.chat(acme)).status == 200
    async with NoDatabase():
        await publish(gateway, acme, topic)
        # Half of what it would take if each request waited for a connection.
        async with asyncio.timeout(REQUESTS * DATABASE_WAIT_SECONDS / 2):
            answers = [await gateway.chat(acme) for _ in range(REQUESTS)]
    assert [each.status for each in answers] == [200] * REQUESTS, answers[0].body


@pytest.mark.slow
@pytest.mark.parametrize("topic", NARROWING)
async def test_what_was_taken_from_a_key_is_not_used_although_it_is_known(gateway, acme, topic):
    assert (await gateway.chat(acme)).status == 200
    async with NoDatabase():
        await publish(gateway, acme, topic)
        answer = await gateway.chat(acme)
    assert (answer.status, answer.error["code"]) == (503, "keys_unavailable")
    assert (await gateway.chat(acme)).status in {200, 503}


async def test_an_unknown_key_is_refused_and_then_without_an_attempt_to_connect(
    gateway, acme, rival
):
    await gateway.worker.follower.catch_up()  # news would have the key looked up again
    answers, seconds = [], []
    async with NoDatabase():
        # The worker's own look for news may have begun before: then the second looks up as well.
        for _ in range(3):
            began = time.monotonic()
            answers.append(await gateway.chat(rival))
            seconds.append(time.monotonic() - began)
    assert [each.status for each in answers] == [503] * 3
    # Less than one attempt to connect takes: this one was refused without an attempt.
    assert seconds[-1] < DATABASE_WAIT_SECONDS


@pytest.mark.parametrize("topic", UNKNOWN)
async def test_what_a_newer_version_publishes_is_left_out(gateway, acme, topic):
    await gateway.worker.publications.handle(topic)
    assert (await gateway.chat(acme)).status == 200
