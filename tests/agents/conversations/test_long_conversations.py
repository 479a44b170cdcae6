"""Conversations that are longer than the context: cut or summed up, and never refused for it."""

import pytest

from agents import services
from agents.models import Item
from inference.models import ModelRoute
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database, ledger

LONG = "word " * 60
"""About a hundred tokens, by the gateway's estimate."""


@pytest.fixture
def small(tiny):
    """A route whose context takes a few texts only."""
    ModelRoute.objects.filter(pk=tiny.pk).update(context_length=1000)
    tiny.refresh_from_db()
    return tiny


async def chat(gateway, member, text, **body):
    answer = await gateway.post(
        member, "/v1/chat", json={"input_text": text, "agent": "helper", **body}
    )
    assert answer.status == 200, answer.body
    return answer.json()


def told(engine):
    return [message["content"] for message in engine.records.last.body["messages"]]


def summaries():
    return list(Item.objects.filter(kind="tenantry:summary"))


async def converse(gateway, member, texts):
    session = {}
    for text in texts:
        answer = await chat(gateway, member, text, **session)
        session = {"session_id": answer["session_id"]}
    return session["session_id"]


async def test_the_beginning_is_left_out(gateway, acme, small, engine):
    await in_database(hire, acme.tenant, small, instructions="Be kind.")

    await converse(gateway, acme, [f"{n} {LONG}" for n in range(9)])

    messages = told(engine)
    assert messages[0] == "Be kind."
    assert messages[-1].startswith("8 ")
    assert not any(message.startswith("0 ") for message in messages)
    assert not await in_database(summaries)


async def test_the_beginning_is_summed_up_where_the_agent_wants_that(gateway, acme, small, engine):
    agent = await in_database(hire, acme.tenant, small, slug="other")
    await in_database(want_summaries, acme, small)
    engine.behave(Behaviour(tokens=4, word="gist"))

    session = await converse(gateway, acme, [f"{n} {LONG}" for n in range(9)])

    (first, *_) = kept = await in_database(summaries)
    assert agent is not None
    assert "gist" in first.body["text"]
    assert len(kept) < 4
    messages = told(engine)
    assert messages[0].startswith("Summary of the conversation so far:")
    assert messages[-1].startswith("8 ")
    items = await gateway.get(
        acme, f"/v1/conversations/{session}/items", params={"limit": 100, "order": "asc"}
    )
    assert items.json()["data"][0]["content"][0]["text"].startswith("0 ")
    assert len(await ledger(rows=9 + len(kept))) == 9 + len(kept)


def want_summaries(member, route):
    agent = services.create_agent(tenant=member.tenant, slug="helper", name="H", route=route)
    agent.overflow = "summarise"
    services.save_draft(agent=agent)
    services.publish(agent=agent)


async def test_a_text_that_no_estimate_fits_is_left_to_the_engine(gateway, acme, small, engine):
    await in_database(hire, acme.tenant, small)

    await chat(gateway, acme, LONG * 9)

    assert told(engine) == [LONG * 9]
