"""Ends rollouts with one conditional update, so that concurrent requests cannot end one twice."""

from django.db import transaction
from django.utils import timezone

from agents.errors import NoRollout, RolloutRunning
from agents.models import Agent, AgentRevision, Rollout
from agents.models.choices import RolloutState
from agents.topics import agents_topic
from kernel.audit import note_transition
from kernel.publishing.publish import publish as publish_topics
from tenants.notifications.delivery import create_notification
from tenants.scoping import tenant_scope

MAX_REASON_CHARS = 300


def running_rollout(agent: Agent) -> Rollout | None:
    """Needs a tenant scope."""
    rows = Rollout.objects.filter(agent=agent, state=RolloutState.RUNNING)
    return rows.select_related("revision").first()


def ensure_rollout(agent: Agent) -> Rollout:
    """Return the running rollout of an agent. Raises NoRollout. Needs a tenant scope."""
    rollout = running_rollout(agent)
    if rollout is None:
        raise NoRollout
    return rollout


def ensure_no_rollout(agent: Agent) -> None:
    """Raises RolloutRunning if the agent has a running rollout. Needs a tenant scope."""
    if running_rollout(agent) is not None:
        raise RolloutRunning


def end_rollout(*, agent: Agent, revision: AgentRevision) -> None:
    """End the running rollout of a locked agent, if any, because `revision` is being published."""
    rollout = running_rollout(agent)
    if rollout is None:
        return
    is_promoted = rollout.revision_id == revision.pk
    state = RolloutState.PROMOTED if is_promoted else RolloutState.STOPPED
    close(rollout, state, reason=f"Revision {revision.number} was published.")


@transaction.atomic
def roll_back_candidate(*, rollout: Rollout, reason: str) -> bool:
    """Roll back a candidate and create a notification. False if the rollout has ended already."""
    with tenant_scope(rollout.tenant_id):
        if not close(rollout, RolloutState.ROLLED_BACK, reason=reason):
            return False
        create_notification(
            "rollout.rolled_back",
            facts={
                "agent": rollout.agent.slug,
                "revision": rollout.revision.number,
                "reason": reason,
            },
            tenant_id=rollout.tenant_id,
            now=timezone.now(),
        )
        return True


def close(rollout: Rollout, state: RolloutState, *, reason: str) -> bool:
    """End a running rollout. False if it has ended already."""
    rows = Rollout.objects.filter(pk=rollout.pk, state=RolloutState.RUNNING)
    reason = reason[:MAX_REASON_CHARS]
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
