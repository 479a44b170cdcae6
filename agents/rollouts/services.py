"""Rollouts: a revision is tried with a share of conversations, then serves all or goes back."""

from dataclasses import asdict

from django.db import transaction

from agents.errors import NothingToPublish, NotPublished, RevisionServed
from agents.models import Agent, AgentRevision, Rollout
from agents.models.choices import RolloutState
from agents.revisions.publishing import create_revision, lock, set_published
from agents.rollouts.lifecycle import close, ensure_no_rollout, ensure_rollout
from agents.rollouts.thresholds import USUAL, Thresholds
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
    thresholds: Thresholds = USUAL,
    user: User | None = None,
    note: str = "",
) -> Rollout:
    """Let `revision` serve `share` per cent of conversations; None: the draft, frozen as the next.

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
    """Raises NothingToPublish for a draft that is what everybody is served already."""
    if not draft.has_unpublished_changes():
        raise NothingToPublish
    return create_revision(draft, user=user, note=note)


@transaction.atomic
def stop_rollout(*, agent: Agent, reason: str = "") -> None:
    """Serve the candidate to nobody any more. Raises NoRollout."""
    with tenant_scope(agent.tenant_id):
        rollout = ensure_rollout(lock(agent))
        close(rollout, RolloutState.STOPPED, reason=reason or "Stopped.")


@transaction.atomic
def promote_rollout(*, agent: Agent) -> AgentRevision:
    """Serve the candidate to everybody. Raises NoRollout."""
    with tenant_scope(agent.tenant_id):
        row = lock(agent)
        rollout = ensure_rollout(row)
        close(rollout, RolloutState.PROMOTED, reason="Promoted.")
        set_published(agent=row, revision=rollout.revision)
    agent.published = rollout.revision
    return rollout.revision
