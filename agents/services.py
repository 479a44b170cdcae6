"""Everything that changes agents. Edges call these; nothing else writes."""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max

from agents.errors import AgentSlugTaken, NothingToPublish
from agents.models import Agent, AgentRevision
from agents.models.agent import FROZEN
from agents.topics import agents_topic
from inference.models import ModelRoute
from kernel.audit import note_transition
from kernel.errors import NotFound
from kernel.publishing import publish as publish_topics
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
) -> Agent:
    """Make a draft; tenants see it when it is published.

    Raises AgentSlugTaken, and ValidationError for values that no form would accept.
    """
    agent = Agent(
        tenant=tenant,
        slug=slug,
        name=name,
        description=description,
        route=route,
        instructions=instructions,
        parameters=parameters or {},
    )
    with tenant_scope(tenant.pk):
        agent.full_clean(exclude=("tenant", "route", "published"), validate_constraints=False)
        try:
            with transaction.atomic():
                agent.save()
        except IntegrityError as error:
            raise AgentSlugTaken from error
    return agent


@transaction.atomic
def save_draft(*, agent: Agent) -> None:
    """Store a changed draft. What tenants are served stays as it is, but for the agent's name."""
    with tenant_scope(agent.tenant_id):
        agent.save(update_fields=DRAFT_FIELDS)
        publish_topics(agents_topic(agent.tenant_id))


@transaction.atomic
def publish(*, agent: Agent, user: User | None = None, note: str = "") -> AgentRevision:
    """Freeze the draft as the next revision and serve it from now on. Raises NothingToPublish."""
    with tenant_scope(agent.tenant_id):
        # The row is the lock: two people who publish at once get two numbers.
        draft = Agent.objects.select_for_update(of=("self",)).get(pk=agent.pk)
        if not draft.has_unpublished_changes():
            raise NothingToPublish
        latest = AgentRevision.objects.filter(agent=draft).aggregate(Max("number"))["number__max"]
        revision = AgentRevision.objects.create(
            tenant_id=draft.tenant_id,
            agent=draft,
            number=(latest or 0) + 1,
            **{name: getattr(draft, name) for name in FROZEN},
            note=note,
            published_by=user,
        )
        point_at(agent=draft, revision=revision)
    agent.published = revision
    return revision


@transaction.atomic
def rollback(*, agent: Agent, revision: AgentRevision) -> None:
    """Serve an earlier revision again. The draft stays as it is.

    Raises NotFound for a revision of another agent, which may be another tenant's.
    """
    if revision.agent_id != agent.pk:
        raise NotFound("This agent has no such revision.")
    with tenant_scope(agent.tenant_id):
        point_at(agent=agent, revision=revision)
    agent.published = revision


def point_at(*, agent: Agent, revision: AgentRevision) -> None:
    before = agent.published
    Agent.objects.filter(pk=agent.pk).update(published=revision)
    note_transition(
        agent,
        field="published",
        before=before.number if before else None,
        after=revision.number,
    )
    publish_topics(agents_topic(agent.tenant_id))


@transaction.atomic
def delete_agent(*, agent: Agent) -> None:
    """Delete an agent and its revisions. The ledger keeps what it used."""
    with tenant_scope(agent.tenant_id):
        agent.delete()
        publish_topics(agents_topic(agent.tenant_id))
