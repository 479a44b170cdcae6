"""Rollouts: a candidate serves a share of conversations until it is promoted or stopped."""

from dataclasses import asdict

from django.db import transaction

from agents.errors import NothingToPublish, NotPublished, RevisionServed
from agents.models import Agent, AgentRevision, Rollout
from agents.models.choices import RolloutState
from agents.revisions.publishing import create_revision, lock, set_published
from agents.rollouts.lifecycle import close, ensure_no_rollout, ensure_rollout
from agents.rollouts.thresholds import DEFAULT_THRESHOLDS, Thresholds
from agents.topics import agents_topic
from kernel.audit import note_transition
from kernel.errors import NotFound
from kernel.publishing.publish import publish as publish_topics
from tenants.models import User
from tenants.scoping import tenant_scope


@transaction.atomic
def start_rollout(
    *,
    agent: Agent,
    share: int,
    revision: AgentRevision | None = None,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    user: User | None = None,
    note: str = "",
) -> Rollout:
    """Let `revision` serve `share` percent of conversations. None: publish the draft for that.

    Raises NotPublished, RolloutRunning, RevisionServed, NothingToPublish, NotFound for a revision
    of another agent, and ValidationError for a share or thresholds out of range.
    """
    if revision is not None and revision.agent_id != agent.pk:
        raise NotFound("This agent has no such revision.")
    with tenant_scope(agent.tenant_id):
        row = lock(agent)
        if row.published is None:
            raise NotPublished
        ensure_no_rollout(row)
        rollout = Rollout(
            tenant_id=row.tenant_id,
            agent=row,
            revision=revision or freeze_changed(row, user=user, note=note),
            share=share,
            **asdict(thresholds),
        )
        if rollout.revision_id == row.published_id:
            raise RevisionServed
        rollout.full_clean(exclude=("tenant", "agent", "revision"), validate_constraints=False)
        rollout.save()
        summary = f"revision {rollout.revision.number} for {share} %"
        note_transition(row, field="rollout", before=None, after=summary)
        publish_topics(agents_topic(row.tenant_id))
    return rollout


def freeze_changed(draft: Agent, *, user: User | None, note: str) -> AgentRevision:
    """Create a revision from a draft. Raises NothingToPublish if it has no changes."""
    if not draft.has_unpublished_changes():
        raise NothingToPublish
    return create_revision(draft, user=user, note=note)


@transaction.atomic
def stop_rollout(*, agent: Agent, reason: str = "") -> None:
    """Stop the running rollout. The candidate serves no more conversations. Raises NoRollout."""
    with tenant_scope(agent.tenant_id):
        rollout = ensure_rollout(lock(agent))
        close(rollout, RolloutState.STOPPED, reason=reason or "Stopped.")


@transaction.atomic
def promote_rollout(*, agent: Agent) -> AgentRevision:
    """Promote the candidate of the running rollout. Raises NoRollout."""
    with tenant_scope(agent.tenant_id):
        row = lock(agent)
        rollout = ensure_rollout(row)
        close(rollout, RolloutState.PROMOTED, reason="Promoted.")
        set_published(agent=row, revision=rollout.revision)
    agent.published = rollout.revision
    return rollout.revision
