"""What the gateway reads of agents, as plain values."""

from collections.abc import Mapping

from django.db import InterfaceError, OperationalError

from agents.errors import AgentsUnavailable
from agents.models import Agent
from agents.runtime.catalog import PublishedAgent, RunLimits
from tenants.scoping import tenant_scope


def load_published_agents(tenant_id: int) -> Mapping[str, PublishedAgent]:
    """The published agents of a tenant by slug. Raises AgentsUnavailable in an outage."""
    try:
        with tenant_scope(tenant_id):
            agents = Agent.objects.exclude(published=None).select_related("published__route")
            return {agent.slug: as_published(agent) for agent in agents}
    except (OperationalError, InterfaceError) as error:
        raise AgentsUnavailable from error


def as_published(agent: Agent) -> PublishedAgent:
    revision = agent.published
    assert revision is not None, "the query leaves unpublished agents out"
    return PublishedAgent(
        slug=agent.slug,
        name=agent.name,
        revision=revision.number,
        instructions=revision.instructions,
        route=revision.route.name,
        parameters=revision.parameters,
        variables=revision.variables,
        tools=tuple(revision.tools),
        limits=RunLimits(
            steps=revision.max_steps,
            tool_calls=revision.max_tool_calls,
            seconds=revision.max_run_seconds,
            tokens=revision.max_run_tokens,
        ),
        busy_policy=revision.busy_policy,
        response_cache=revision.response_cache,
        cache_seconds=revision.cache_seconds,
        overflow=revision.overflow,
        created=int(revision.published_at.timestamp()),
    )
