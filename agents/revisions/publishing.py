"""Creates revisions from drafts, and sets the published revision of an agent."""

from django.db.models import Max

from agents.models import Agent, AgentRevision
from agents.models.agent import FROZEN
from agents.revisions.validation import validate_draft
from agents.topics import agents_topic
from kernel.audit import note_transition
from kernel.errors import NotFound
from kernel.publishing.publish import publish as publish_topics
from tenants.models import User


def lock(agent: Agent) -> Agent:
    """Lock and reload an agent. Everything that changes the published revision holds this lock.

    Raises NotFound if the agent was deleted.
    """
    row = Agent.objects.select_for_update(of=("self",)).filter(pk=agent.pk).first()
    if row is None:
        raise NotFound("This agent was deleted.")
    return row


def create_revision(draft: Agent, *, user: User | None, note: str) -> AgentRevision:
    """Create the next revision from the draft of a locked agent. It is not published yet.

    Raises ValidationError and UnknownTools for a draft that is not valid any more.
    """
    validate_draft(draft)
    latest = AgentRevision.objects.filter(agent=draft).aggregate(Max("number"))["number__max"]
    return AgentRevision.objects.create(
        tenant_id=draft.tenant_id,
        agent=draft,
        number=(latest or 0) + 1,
        **{name: getattr(draft, name) for name in FROZEN},
        note=note,
        published_by=user,
    )


def set_published(*, agent: Agent, revision: AgentRevision) -> None:
    """Make `revision` the published revision."""
    before = agent.published
    Agent.objects.filter(pk=agent.pk).update(published=revision)
    note_transition(
        agent,
        field="published",
        before=before.number if before else None,
        after=revision.number,
    )
    publish_topics(agents_topic(agent.tenant_id))
