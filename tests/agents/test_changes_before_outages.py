"""A change is published, and in that moment PostgreSQL goes away: what is known stays in force."""

import time

import pytest
from asgiref.sync import sync_to_async

from tests.fixtures.demotion import database_nowhere

pytestmark = pytest.mark.usefixtures("tiny")

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
    await gateway.worker._handle(topic.format(tenant=member.tenant.pk, key=key))


@pytest.mark.parametrize("topic", TOPICS)
async def test_the_last_known_value_stays_until_the_new_one_is_there(gateway, acme, topic):
    assert (await gateway.chat(acme)).status == 200
    async with NoDatabase():
        await publish(gateway, acme, topic)
        began = time.monotonic()
        answers = [await gateway.chat(acme) for _ in range(5)]
        assert time.monotonic() - began < 6
    assert [each.status for each in answers] == [200] * 5, answers[0].body


@pytest.mark.parametrize("topic", NARROWING)
async def test_what_was_taken_from_a_key_is_not_used_although_it_is_known(gateway, acme, topic):
    assert (await gateway.chat(acme)).status == 200
    async with NoDatabase():
        await publish(gateway, acme, topic)
        answer = await gateway.chat(acme)
    assert (answer.status, answer.error["code"]) == (503, "keys_unavailable")
    assert (await gateway.chat(acme)).status in {200, 503}


async def test_an_unknown_key_is_refused_in_time_and_again_at_once(gateway, acme, rival):
    await gateway.worker.follower.catch_up()  # news would have the key looked up again
    answers, seconds = [], []
    async with NoDatabase():
        # The worker's own look for news may have begun before: then the second looks up as well.
        for _ in range(3):
            began = time.monotonic()
            answers.append(await gateway.chat(rival))
            seconds.append(time.monotonic() - began)
    assert [each.status for each in answers] == [503] * 3
    assert max(seconds) < 4
    assert seconds[-1] < 1


@pytest.mark.parametrize("topic", UNKNOWN)
async def test_what_a_newer_version_publishes_is_left_out(gateway, acme, topic):
    await gateway.worker._handle(topic)
    assert (await gateway.chat(acme)).status == 200
