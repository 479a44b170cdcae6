"""`/v1/topics/{topic}/messages`: to every subscriber but the sender, with a result for each."""

from collections import Counter

import pytest

from agents import services
from agents.models import Agent, AgentMessage, Delivery, Run
from agents.schema.routing.messages import MAX_TOPIC_RECEIVERS
from agents.tasks import deliver_messages
from tests.agents.messages.conftest import pause, publish, show, subscribe, topic_path, until
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import hire, issue
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.nodes import running_node

RECEIVERS = 50
FAILING = 5


@pytest.mark.slow
async def test_of_fifty_receivers_five_fail_and_the_others_answer(gateway, acme, tiny, engine):
    """Three are paused, which may pass, and two have no revision any more."""
    engine.behave(*[Behaviour(tokens=1)] * RECEIVERS)
    agents = await in_database(subscribe, acme.tenant, tiny, RECEIVERS)
    failing = [each.slug for each in agents[:FAILING]]
    for slug in failing[:3]:
        await in_database(pause, slug)
    await in_database(lambda: Agent.objects.filter(slug__in=failing[3:]).update(published=None))

    async with running_node():
        sent = await publish(gateway, acme)

        async def all_answered():
            await in_database(deliver_messages)
            shown = await show(gateway, acme, sent)
            states = Counter(each["state"] for each in shown["deliveries"])
            return shown if states["completed"] == RECEIVERS - FAILING else None

        shown = await until(all_answered)

    results = {each["agent"]: each for each in shown["deliveries"]}
    assert len(results) == RECEIVERS
    assert {results[slug]["state"] for slug in failing[:3]} == {"pending"}
    assert {results[slug]["error"]["code"] for slug in failing[:3]} == {"agent_paused"}
    assert {results[slug]["state"] for slug in failing[3:]} == {"dead"}
    assert {results[slug]["error"]["code"] for slug in failing[3:]} == {"agent_not_published"}
    assert await in_database(Run.objects.count) == RECEIVERS - FAILING


async def test_a_topic_reaches_its_subscribers_and_nobody_else(gateway, acme, rival, tiny):
    await in_database(hire, acme.tenant, tiny, slug="a", subscriptions=["news", "sport"])
    await in_database(hire, acme.tenant, tiny, slug="b", subscriptions=["sport"])
    await in_database(hire, acme.tenant, tiny, slug="c", subscriptions=["news.local"])
    await in_database(hire, rival.tenant, tiny, slug="a", subscriptions=["news"])

    sent = await publish(gateway, acme)

    assert [each["agent"] for each in sent["deliveries"]] == ["a"]
    assert sent["topic"] == "news"
    assert await in_database(lambda: {each.tenant_id for each in Run.objects.all()}) == {
        acme.tenant.pk
    }
    theirs = await publish(gateway, rival, topic="sport")
    assert theirs["deliveries"] == []
    assert (await gateway.get(rival, f"/v1/messages/{sent['id']}")).status == 404


async def test_a_change_of_the_subscriptions_takes_effect_without_publishing(gateway, acme, tiny):
    agent = await in_database(hire, acme.tenant, tiny, slug="a", subscriptions=["news"])

    def unsubscribe():
        agent.subscriptions = ["sport"]
        services.save_draft(agent=agent)

    await in_database(unsubscribe)

    assert (await publish(gateway, acme))["deliveries"] == []
    assert len((await publish(gateway, acme, topic="sport"))["deliveries"]) == 1


async def test_a_topic_reaches_only_agents_that_the_key_may_use(gateway, acme, tiny):
    await in_database(subscribe, acme.tenant, tiny, 3)
    limited = await in_database(issue, acme.tenant, allowed_models=["subscriber-01"])

    sent = await publish(gateway, limited)

    assert [each["agent"] for each in sent["deliveries"]] == ["subscriber-01"]


async def test_a_repeated_id_publishes_once(gateway, acme, tiny):
    await in_database(subscribe, acme.tenant, tiny, 3)
    first = await publish(gateway, acme, message_id="news-1")

    again = await gateway.post(
        acme, topic_path("news"), json={"content": "It rains.", "message_id": "news-1"}
    )

    assert (again.status, again.json()["id"]) == (200, first["id"])
    assert await in_database(Run.objects.count) == 3


@pytest.mark.parametrize("topic", ["a:b", "News", "a b", "-a", "x" * 64, "ü", "a%00b", "*"])
async def test_a_name_that_is_no_topic_is_refused(gateway, acme, topic):
    answer = await gateway.post(acme, topic_path(topic), json={"content": "Hello"})

    assert answer.status in {400, 404}
    assert await in_database(AgentMessage.objects.count) == 0


@pytest.mark.parametrize("topic", ["a/b", "a%2Fb", "../agents"])
async def test_a_name_with_a_separator_is_no_address(gateway, acme, topic):
    answer = await gateway.post(acme, topic_path(topic), json={"content": "Hello"})

    assert answer.status == 404


async def test_a_message_to_a_topic_cannot_be_waited_for(gateway, acme):
    answer = await gateway.post(acme, topic_path("news"), json={"content": "Hello", "wait": True})

    assert (answer.status, answer.error["param"]) == (400, "wait")


async def test_too_many_receivers_are_refused(gateway, acme, tiny):
    def subscribe_drafts():
        Agent.objects.bulk_create(
            Agent(
                tenant=acme.tenant, slug=f"draft-{n}", name="D", route=tiny, subscriptions=["news"]
            )
            for n in range(MAX_TOPIC_RECEIVERS + 1)
        )

    await in_database(subscribe_drafts)

    answer = await gateway.post(acme, topic_path("news"), json={"content": "Hello"})

    assert (answer.status, answer.error["code"]) == (400, "too_many_receivers")
    assert await in_database(Delivery.objects.count) == 0
