"""Agents of acme that receive messages, and what tests do with messages."""

import asyncio
from types import SimpleNamespace

import pytest

from agents import services
from agents.models import Agent
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database


def path_of(agent):
    return f"/v1/agents/{agent}/messages"


def topic_path(topic):
    return f"/v1/topics/{topic}/messages"


async def send(gateway, member, agent="reader", content="Hello", **members):
    """The message object of a message that was accepted."""
    answer = await gateway.post(member, path_of(agent), json={"content": content, **members})
    assert answer.status == 202, answer.body
    return answer.json()


async def publish(gateway, member, topic="news", content="It rains.", **members):
    answer = await gateway.post(member, topic_path(topic), json={"content": content, **members})
    assert answer.status == 202, answer.body
    return answer.json()


async def show(gateway, member, message):
    return (await gateway.get(member, f"/v1/messages/{message['id']}")).json()


async def until(condition, *, within=60.0):
    """The value of `condition`, a coroutine function, once it is true."""
    async with asyncio.timeout(within):
        while not (value := await condition()):
            await asyncio.sleep(0.02)
        return value


def subscribe(tenant, route, count, topic="news"):
    """`count` agents that subscribe to a topic."""
    return [
        hire(tenant, route, slug=f"subscriber-{n:02}", subscriptions=[topic]) for n in range(count)
    ]


def pause(slug):
    services.pause_agent(agent=Agent.objects.get(slug=slug))


@pytest.fixture
def readers(acme, tiny):
    """Two agents of acme: `reader` subscribes to `news`, `writer` to nothing."""
    return SimpleNamespace(
        reader=hire(acme.tenant, tiny, slug="reader", subscriptions=["news"]),
        writer=hire(acme.tenant, tiny, slug="writer"),
    )


__all__ = ["in_database", "path_of", "pause", "publish", "readers", "send", "show", "until"]
