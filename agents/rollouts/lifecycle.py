"""How rollouts end: by one conditional update, whoever is first."""

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
    """End a rollout that is running. False if somebody else ended it first."""
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
