"""`topic.subscribe`: a socket gets each message of a topic of its tenant, once and in order."""

import asyncio

import pytest

from agents.messages.topic_reader import open_topic, read_topic
from agents.models import AgentMessage
from tests.agents.doors.websocket.test_socket import socket
from tests.agents.messages.conftest import publish, send
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database


async def subscribe(client, topic="news", **members):
    await client.say({"type": "topic.subscribe", "topic": topic, **members})
    return await client.hear(seconds=60)


async def test_a_socket_gets_the_new_messages_of_its_topic(gateway, acme):
    await publish(gateway, acme, content="Before.")
    async with socket(gateway, acme) as client:
        assert await subscribe(client) == {"type": "topic.subscribed", "topic": "news"}
        sent = [await publish(gateway, acme, content=f"Number {n}") for n in range(3)]
        await publish(gateway, acme, topic="sport")
        frames = [await client.hear(seconds=60) for _ in range(3)]

    assert {frame["type"] for frame in frames} == {"topic.message"}
    for message in sent:
        del message["deliveries"]
    assert [frame["message"] for frame in frames] == sent


async def test_a_socket_that_comes_back_goes_on_after_its_last_message(gateway, acme):
    sent = [await publish(gateway, acme, content=f"Number {n}") for n in range(4)]
    async with socket(gateway, acme) as client:
        await subscribe(client, after=sent[1]["id"])
        await publish(gateway, acme, content="Number 4")
        frames = [await client.hear(seconds=60) for _ in range(3)]

    texts = [frame["message"]["content"] for frame in frames]
    assert texts == ["Number 2", "Number 3", "Number 4"]


async def test_topics_of_another_tenant_are_never_seen(gateway, acme, rival):
    mine = await publish(gateway, rival, content="Mine.")
    theirs = await publish(gateway, acme, content="Theirs.")
    async with socket(gateway, rival) as client:
        refused = await subscribe(client, after=theirs["id"])
        unknown = await subscribe(client, after="msg_nothing")
        await subscribe(client, after=mine["id"])
        await publish(gateway, acme, content="Theirs again.")
        await publish(gateway, rival, content="Mine again.")
        frame = await client.hear(seconds=60)

    assert refused == unknown
    assert (refused["status"], refused["topic"]) == (404, "news")
    assert frame["message"]["content"] == "Mine again."


@pytest.mark.parametrize("topic", ["a/b", "A", "", "x" * 64])
async def test_a_name_that_is_no_topic_is_refused(gateway, acme, topic):
    async with socket(gateway, acme) as client:
        answer = await subscribe(client, topic)

    assert (answer["status"], answer["error"]["param"]) == (400, "topic")


async def test_a_message_to_an_agent_is_of_no_topic(gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny, slug="reader", subscriptions=["news"])
    async with socket(gateway, acme) as client:
        await subscribe(client)
        private = await send(gateway, acme)
        public = await publish(gateway, acme)
        frame = await client.hear(seconds=60)
        refused = await subscribe(client, after=private["id"])

    assert frame["message"]["id"] == public["id"]
    assert refused["status"] == 404


async def test_a_socket_has_a_bounded_number_of_topics(gateway, acme):
    async with socket(gateway, acme) as client:
        answers = [await subscribe(client, f"topic-{n}") for n in range(17)]
        again = await subscribe(client, "topic-3")

    assert [each["type"] for each in answers[:16]] == ["topic.subscribed"] * 16
    assert answers[16]["error"]["code"] == "too_many_runs"
    assert again["type"] == "topic.subscribed"


async def test_a_closed_socket_leaves_no_subscription(gateway, acme):
    listeners = gateway.worker.pubsub._subscriber._listeners
    async with socket(gateway, acme) as client:
        await subscribe(client)
        assert any("topic" in name for name in listeners)

    async with asyncio.timeout(30):
        while any("topic" in name for name in listeners):
            await asyncio.sleep(0.01)


async def test_a_message_that_becomes_visible_late_is_not_left_out(acme):
    """Its row has a lower id than one that was read, because its transaction took longer."""

    def sent(content):
        return AgentMessage.objects.create(
            tenant=acme.tenant,
            public_id=f"msg_{content}",
            topic="news",
            correlation_id="c",
            content=content,
            fingerprint="f",
        )

    def read():
        start = open_topic(acme.tenant.pk, "news", after=None)
        late = sent("late")
        AgentMessage.objects.filter(pk=late.pk).update(topic="hidden")
        sent("early")
        first, position = read_topic(acme.tenant.pk, "news", start)
        AgentMessage.objects.filter(pk=late.pk).update(topic="news")
        second, position = read_topic(acme.tenant.pk, "news", position)
        third, _ = read_topic(acme.tenant.pk, "news", position)
        return [[each.content for each in found] for found in (first, second, third)]

    assert await in_database(read) == [["early"], ["late"], []]
