"""Everything that changes agents. Edges call these; nothing else writes."""

from typing import Any

from django.db import IntegrityError, transaction

from agents.errors import AgentSlugTaken, NothingToPublish
from agents.models import Agent, AgentRevision
from agents.models.agent import FROZEN
from agents.revisions.publishing import create_revision, lock, set_published
from agents.revisions.validation import validate_draft
from agents.rollouts.lifecycle import end_rollout, ensure_no_rollout
from agents.tool_library.store import ensure_no_circle
from agents.topics import agents_topic
from inference.models import ModelRoute
from kernel.errors import NotFound
from kernel.publishing.publish import publish as publish_topics
from tenants.models import Tenant, User
from tenants.scoping import tenant_scope

DRAFT_FIELDS = ("slug", "name", "description", *FROZEN, "changed_at")
"""What a form changes. What is published has services of its own: a late form must not undo it."""


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
    """Make a draft; tenants see it when it is published. `settings` are further fields of FROZEN.

    Raises AgentSlugTaken, UnknownTools, and ValidationError for values that no form would accept.
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
        ensure_no_circle(agent)
        try:
            with transaction.atomic():
                agent.save()
        except IntegrityError as error:
            raise AgentSlugTaken from error
    return agent


@transaction.atomic
def save_draft(*, agent: Agent) -> None:
    """Store a changed draft. What tenants are served stays as it is, but for the agent's name.

    Raises UnknownTools, and ValidationError for values that no form would accept.
    """
    with tenant_scope(agent.tenant_id):
        validate_draft(agent)
        ensure_no_circle(agent)
        agent.save(update_fields=DRAFT_FIELDS)
        publish_topics(agents_topic(agent.tenant_id))


@transaction.atomic
def publish(*, agent: Agent, user: User | None = None, note: str = "") -> AgentRevision:
    """Freeze the draft as the next revision and serve it from now on.

    Raises NothingToPublish, RolloutRunning (two new revisions at once could not be compared), and
    UnknownTools for a tool that was deleted since.
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
    """Serve an earlier revision again, now. The draft stays as it is.

    It is never refused for a rollout, which ends with it: promoted if it was this revision's.
    Raises NotFound for a revision of another agent, which may be another tenant's.
    """
    if revision.agent_id != agent.pk:
        raise NotFound("This agent has no such revision.")
    with tenant_scope(agent.tenant_id):
        end_rollout(agent=lock(agent), revision=revision)
        set_published(agent=agent, revision=revision)
    agent.published = revision


@transaction.atomic
def delete_agent(*, agent: Agent) -> None:
    """Delete an agent and its revisions. The ledger keeps what it used."""
    with tenant_scope(agent.tenant_id):
        agent.delete()
        publish_topics(agents_topic(agent.tenant_id))
