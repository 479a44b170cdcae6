"""The services that change agents. Nothing else writes agents."""

from typing import Any

from django.db import IntegrityError, transaction

from agents.errors import AgentSlugTaken, NothingToPublish
from agents.models import Agent, AgentRevision
from agents.models.agent import FROZEN
from agents.revisions.publishing import create_revision, lock, set_published
from agents.revisions.validation import validate_draft
from agents.rollouts.lifecycle import end_rollout, ensure_no_rollout
from agents.schema.routing.placement import placement_json, read_placement
from agents.tool_library.store import ensure_no_cycle
from agents.topics import agents_topic
from inference.models import ModelRoute
from kernel.audit import note_transition
from kernel.errors import NotFound
from kernel.publishing.publish import publish as publish_topics
from tenants.models import Tenant, User
from tenants.scoping import tenant_scope

AGENT_FIELDS = (
    *("capabilities", "capability_schemas", "placement", "subscriptions"),
    *("offered_over_mcp", "offered_over_a2a"),
)
"""Fields of the agent itself, which are not part of revisions and take effect at once."""
DRAFT_FIELDS = ("slug", "name", "description", *AGENT_FIELDS, *FROZEN, "changed_at")
"""The fields that a form changes. It must not change `published` and `is_paused`, which have their
own services."""


def create_agent(
    *,
    tenant: Tenant,
    slug: str,
    name: str,
    route: ModelRoute,
    instructions: str = "",
    parameters: dict[str, Any] | None = None,
    description: str = "",
    **settings: Any,
) -> Agent:
    """Create an agent that is not published. `settings` are further fields of a draft.

    Raises AgentSlugTaken, UnknownTools, and ValidationError for invalid values.
    """
    agent = Agent(
        tenant=tenant,
        slug=slug,
        name=name,
        description=description,
        route=route,
        instructions=instructions,
        parameters=parameters or {},
        **settings,
    )
    with tenant_scope(tenant.pk):
        validate_draft(agent)
        ensure_no_cycle(agent)
        try:
            with transaction.atomic():
                agent.save()
        except IntegrityError as error:
            raise AgentSlugTaken from error
    return agent


@transaction.atomic
def save_draft(*, agent: Agent) -> None:
    """Save a draft. The published revision does not change, except for the agent's name.

    Raises UnknownTools, and ValidationError for invalid values.
    """
    with tenant_scope(agent.tenant_id):
        validate_draft(agent)
        ensure_no_cycle(agent)
        agent.save(update_fields=DRAFT_FIELDS)
        publish_topics(agents_topic(agent.tenant_id))


@transaction.atomic
def publish(*, agent: Agent, user: User | None = None, note: str = "") -> AgentRevision:
    """Publish the draft as the next revision.

    Raises NothingToPublish, RolloutRunning, because a rollout compares only two revisions, and
    UnknownTools for a deleted tool.
    """
    with tenant_scope(agent.tenant_id):
        draft = lock(agent)
        ensure_no_rollout(draft)
        if not draft.has_unpublished_changes():
            raise NothingToPublish
        revision = create_revision(draft, user=user, note=note)
        set_published(agent=draft, revision=revision)
    agent.published = revision
    return revision


@transaction.atomic
def rollback(*, agent: Agent, revision: AgentRevision) -> None:
    """Publish an earlier revision again. The draft does not change.

    A running rollout ends: promoted if `revision` is its candidate, stopped otherwise. Raises
    NotFound for a revision of another agent.
    """
    if revision.agent_id != agent.pk:
        raise NotFound("This agent has no such revision.")
    with tenant_scope(agent.tenant_id):
        end_rollout(agent=lock(agent), revision=revision)
        set_published(agent=agent, revision=revision)
    agent.published = revision


@transaction.atomic
def pause_agent(*, agent: Agent) -> bool:
    """Make an agent refuse new requests; what it has accepted is executed.

    False if it was paused already.
    """
    return set_paused(agent, paused=True)


@transaction.atomic
def resume_agent(*, agent: Agent) -> bool:
    """Make a paused agent accept requests again. False if it is not paused."""
    return set_paused(agent, paused=False)


def set_paused(agent: Agent, *, paused: bool) -> bool:
    with tenant_scope(agent.tenant_id):
        rows = Agent.objects.filter(pk=agent.pk, is_paused=not paused)
        if not rows.update(is_paused=paused):
            return False
        note_transition(agent, field="is_paused", before=not paused, after=paused)
        publish_topics(agents_topic(agent.tenant_id))
    agent.is_paused = paused
    return True


@transaction.atomic
def deploy_agent(*, agent: Agent, placement: object) -> None:
    """Set the agent nodes that execute the background runs of an agent. Raises InvalidParameter."""
    wanted = placement_json(read_placement(placement))
    with tenant_scope(agent.tenant_id):
        row = lock(agent)
        row.placement = wanted
        row.save(update_fields=("placement", "changed_at"))
        publish_topics(agents_topic(agent.tenant_id))
    agent.placement = wanted


@transaction.atomic
def undeploy_agent(*, agent: Agent) -> None:
    """Remove an agent from all nodes. Its labels and zone are kept; its queued runs wait."""
    with tenant_scope(agent.tenant_id):
        deploy_agent(agent=agent, placement={**lock(agent).placement, "replicas": 0})


@transaction.atomic
def delete_agent(*, agent: Agent) -> None:
    """Delete an agent and its revisions. Its usage stays in the ledger."""
    with tenant_scope(agent.tenant_id):
        agent.delete()
        publish_topics(agents_topic(agent.tenant_id))
