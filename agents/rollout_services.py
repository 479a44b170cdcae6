"""Rollouts: a revision is tried with a share of conversations, then serves all or goes back."""

from dataclasses import asdict

from django.db import transaction
from django.utils import timezone

from agents.errors import (
    NoRollout,
    NothingToPublish,
    NotPublished,
    RevisionServed,
    RolloutRunning,
)
from agents.models import Agent, AgentRevision, Rollout
from agents.models.choices import RolloutState
from agents.pointing import freeze, lock, point_at
from agents.rollout_thresholds import USUAL, Thresholds
from agents.topics import agents_topic
from kernel.audit import note_transition
from kernel.errors import NotFound
from kernel.publishing import publish as publish_topics
from tenants.models import User
from tenants.notices import note_event
from tenants.scoping import tenant_scope

LONGEST_REASON = 300


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
        told = f"revision {rollout.revision.number} for {share} %"
        note_transition(row, field="rollout", before=None, after=told)
        publish_topics(agents_topic(row.tenant_id))
    return rollout


def freeze_changed(draft: Agent, *, user: User | None, note: str) -> AgentRevision:
    """Raises NothingToPublish for a draft that is what everybody is served already."""
    if not draft.has_unpublished_changes():
        raise NothingToPublish
    return freeze(draft, user=user, note=note)


def running_rollout(agent: Agent) -> Rollout | None:
    """Asks inside a tenant scope."""
    rows = Rollout.objects.filter(agent=agent, state=RolloutState.RUNNING)
    return rows.select_related("revision").first()


def ensure_rollout(agent: Agent) -> Rollout:
    """The rollout that is running. Raises NoRollout. Asks inside a tenant scope."""
    rollout = running_rollout(agent)
    if rollout is None:
        raise NoRollout
    return rollout


def ensure_no_rollout(agent: Agent) -> None:
    """Raises RolloutRunning. Asks inside a tenant scope."""
    if running_rollout(agent) is not None:
        raise RolloutRunning


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
        point_at(agent=row, revision=rollout.revision)
    agent.published = rollout.revision
    return rollout.revision


def end_rollout(*, agent: Agent, revision: AgentRevision) -> None:
    """End a locked agent's rollout, if one is running, because `revision` is to serve everybody."""
    rollout = running_rollout(agent)
    if rollout is None:
        return
    is_promoted = rollout.revision_id == revision.pk
    state = RolloutState.PROMOTED if is_promoted else RolloutState.STOPPED
    close(rollout, state, reason=f"Revision {revision.number} was chosen to serve everybody.")


@transaction.atomic
def roll_back_candidate(*, rollout: Rollout, reason: str) -> bool:
    """Take a candidate back because it does worse, and tell. False if it had ended already."""
    with tenant_scope(rollout.tenant_id):
        if not close(rollout, RolloutState.ROLLED_BACK, reason=reason):
            return False
        note_event(
            "rollout.rolled_back",
            told={
                "agent": rollout.agent.slug,
                "revision": rollout.revision.number,
                "reason": reason,
            },
            tenant_id=rollout.tenant_id,
            now=timezone.now(),
        )
        return True


def close(rollout: Rollout, state: RolloutState, *, reason: str) -> bool:
    """End a rollout that is running. False if somebody else ended it first."""
    rows = Rollout.objects.filter(pk=rollout.pk, state=RolloutState.RUNNING)
    reason = reason[:LONGEST_REASON]
    if not rows.update(state=state, reason=reason, ended_at=timezone.now()):
        return False
    note_transition(
        rollout.agent,
        field="rollout",
        before=f"revision {rollout.revision.number} for {rollout.share} %",
        after=state,
        reason=reason,
    )
    publish_topics(agents_topic(rollout.tenant_id))
    return True
