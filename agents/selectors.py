"""The gateway's queries of agents. They return plain values."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import msgspec
from django.db.models import Max

from agents.errors import AgentsUnavailable
from agents.models import Agent, AgentRevision, Rollout
from agents.models.choices import RolloutState
from agents.runtime.catalog.agents import Pin, PublishedAgent, RunLimits
from agents.schema.routing.capabilities import NO_SCHEMAS, CapabilitySchemas
from agents.schema.routing.placement import Placement
from kernel.storage.database import UNAVAILABLE
from tenants.scoping import tenant_scope


@contextmanager
def reading_agents(tenant_id: int) -> Iterator[None]:
    """Enter the scope of a tenant. Raises AgentsUnavailable if PostgreSQL is unavailable."""
    try:
        with tenant_scope(tenant_id):
            yield
    except UNAVAILABLE as error:
        raise AgentsUnavailable from error


def load_published_agents(tenant_id: int) -> Mapping[str, PublishedAgent]:
    """Return the published agents of a tenant by slug, with their rollouts.

    Raises AgentsUnavailable.
    """
    with reading_agents(tenant_id):
        agents = Agent.objects.exclude(published=None).select_related("published__route")
        rollouts = Rollout.objects.filter(state=RolloutState.RUNNING)
        running = {each.agent_id: each for each in rollouts.select_related("revision__route")}
        return {
            agent.slug: as_served(agent, agent.latest, rollout=running.get(agent.pk))
            for agent in agents.annotate(latest=Max("revisions__number"))
        }


def load_revision(pin: Pin) -> PublishedAgent | None:
    """Return one revision of an agent, or None. Raises AgentsUnavailable."""
    with reading_agents(pin.tenant_id):
        rows = AgentRevision.objects.filter(agent__slug=pin.slug, number=pin.number)
        revision = rows.select_related("agent", "route").first()
        return as_published(revision.agent, revision) if revision else None


def as_served(agent: Agent, latest: int, *, rollout: Rollout | None) -> PublishedAgent:
    assert agent.published is not None, "the query leaves unpublished agents out"
    served = as_published(agent, agent.published, latest=latest)
    if rollout is None:
        return served
    candidate = as_published(agent, rollout.revision, latest=latest)
    return replace(served, candidate=candidate, share=rollout.share)


def as_published(agent: Agent, revision: AgentRevision, *, latest: int = 0) -> PublishedAgent:
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
        latest=latest,
        is_paused=agent.is_paused,
        capabilities=capabilities_of(agent),
        placement=msgspec.convert(agent.placement, Placement),
        description=agent.description,
        offered_over_mcp=agent.offered_over_mcp,
        offered_over_a2a=agent.offered_over_a2a,
    )


def capabilities_of(agent: Agent) -> Mapping[str, CapabilitySchemas]:
    schemas = msgspec.convert(agent.capability_schemas, dict[str, CapabilitySchemas])
    return {word: schemas.get(word, NO_SCHEMAS) for word in agent.capabilities}
