"""The receivers of a message: one agent, or the subscribers of a topic."""

from django.db.models import QuerySet

from agents.errors import TooManyReceivers
from agents.models import Agent
from agents.schema.routing.messages import MAX_TOPIC_RECEIVERS, TOPIC, TOPIC_RULE, NewMessage
from inference.errors import ModelNotFound
from kernel.errors import InvalidParameter
from tenants.admission.principal import Principal


def named_agent(principal: Principal, new: NewMessage) -> Agent:
    """Return the receiver of a message to one agent. Needs the scope of the tenant.

    Raises ModelNotFound, and InvalidParameter.
    """
    if new.agent == new.sender:
        raise InvalidParameter("An agent cannot send a message to itself.", param="agent")
    rows = Agent.objects.select_related("published__route").filter(slug=new.agent)
    agent: Agent | None = rows.exclude(published=None).first()
    if agent is None or not principal.may_use(new.agent):
        raise ModelNotFound(
            f"There is no agent {new.agent[:100]!r}, or this key may not use it.", param="agent"
        )
    return agent


def subscribers(principal: Principal, new: NewMessage) -> list[str]:
    """Return the slugs of the agents that receive a message to a topic. Needs a tenant scope.

    Agents that the key may not use, and the sender itself, receive nothing. Raises
    InvalidParameter, and TooManyReceivers.
    """
    if not TOPIC.fullmatch(new.topic):
        raise InvalidParameter(f"{new.topic[:80]!r} is not a topic. {TOPIC_RULE}", param="topic")
    slugs = subscribed_agents(new.topic).values_list("slug", flat=True)
    found = [each for each in slugs if each != new.sender and principal.may_use(each)]
    if len(found) > MAX_TOPIC_RECEIVERS:
        raise TooManyReceivers(param="topic")
    return found


def subscribed_agents(topic: str) -> QuerySet[Agent]:
    """Return the agents that subscribe to a topic. Needs a tenant scope."""
    return Agent.objects.filter(subscriptions__contains=[topic]).order_by("slug")
