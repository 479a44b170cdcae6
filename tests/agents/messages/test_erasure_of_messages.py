"""Erasing an inbox, or the data of a tenant, leaves no text of a message."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import services as agents
from agents.conversations.store import create_conversation
from agents.erasure import service as erasure
from agents.messages.sending import send_message
from agents.models import AgentMessage, Delivery, Inbox
from agents.schema.routing.messages import MessageLimits, NewMessage
from tenants import services as tenants
from tenants.models import Tenant
from tenants.selectors import load_principal
from tests.fixtures.console.people import acme, pool, rival, route, rows

__all__ = ["acme", "pool", "rival", "route"]
pytestmark = pytest.mark.django_db
LIMITS = MessageLimits(max_per_minute=600, max_hops=8, max_queued_runs=100)


@pytest.fixture
def people(acme, rival, route):
    """A principal of each tenant. Both have the agents `a` and `b`, which subscribe to `news`."""

    def equip(tenant):
        for slug in ("a", "b"):
            agent = agents.create_agent(
                tenant=tenant, slug=slug, name=slug, route=route, subscriptions=["news"]
            )
            agents.publish(agent=agent)
        issued = tenants.issue_key(tenant=tenant, name="messages")
        return load_principal(issued.key.public_id)

    return {"acme": equip(acme), "rival": equip(rival)}


def send(principal, content, **members):
    new = NewMessage(content=content, **(members or {"agent": "a"}))
    return send_message(principal, new, limits=LIMITS).record


def inbox(tenant, slug, sender=""):
    return rows(Inbox).get(tenant=tenant, agent__slug=slug, sender=sender).conversation


def contents(tenant):
    return set(rows(AgentMessage).filter(tenant=tenant).values_list("content", flat=True))


def test_an_erased_inbox_takes_its_messages_along(people, acme, rival):
    send(people["acme"], "one")
    send(people["acme"], "two", agent="b")
    send(people["acme"], "of an agent", agent="a", sender="b", hops=1)
    send(people["rival"], "theirs")

    receipt = erasure.erase_conversation(acme.pk, conversation=inbox(acme, "a").public_id, by="ada")

    assert contents(acme) == {"two", "of an agent"}
    assert contents(rival) == {"theirs"}
    assert receipt.counts["messages"] == 1


def test_a_message_stays_while_another_receiver_has_it(people, acme):
    send(people["acme"], "to all", topic="news")

    for slug, left in (("a", {"to all"}), ("b", set())):
        erasure.erase_conversation(acme.pk, conversation=inbox(acme, slug).public_id, by="ada")
        assert contents(acme) == left
    assert not rows(Delivery).exists()


def test_an_erased_conversation_that_is_no_inbox_takes_no_message_along(people, acme):

    send(people["acme"], "one")
    talk = create_conversation(acme.pk, metadata={}, items=[])

    erasure.erase_conversation(acme.pk, conversation=talk.id, by="ada")

    assert contents(acme) == {"one"}


def test_an_erased_tenant_has_no_messages(people, acme, rival):
    send(people["acme"], "one")
    send(people["acme"], "nobody receives it", topic="sport")
    send(people["rival"], "theirs")

    receipt = erasure.resume_erasure(erasure.request_tenant_erasure(acme.pk, by="ada"))

    assert contents(acme) == set()
    assert contents(rival) == {"theirs"}
    assert receipt.counts["messages"] == 2


def test_messages_past_the_retention_period_are_erased(people, acme, rival):
    Tenant.objects.filter(pk=acme.pk).update(retention_days=7)
    for name in ("acme", "rival"):
        send(people[name], "old")
    later = timezone.now() + timedelta(days=8)

    receipt = erasure.erase_expired(acme.pk, now=later)

    assert contents(acme) == set()
    assert contents(rival) == {"old"}
    assert receipt.counts["messages"] == 1
