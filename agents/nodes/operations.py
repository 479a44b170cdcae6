"""What operators do with nodes: drain, take up again, remove."""

from django.db import transaction
from django.db.models.functions import Now

from agents.errors import GatewayNotDrainable, NodeIsAlive
from agents.models import AgentNode
from agents.models.node import NodeKind, NodeState
from kernel.audit import note_transition


@transaction.atomic
def request_drain(*, node: AgentNode) -> bool:
    """Ask a node to take no new runs. It follows with its next heartbeat, and finishes its runs.

    Returns False if it was requested already. Raises GatewayNotDrainable.
    """
    if node.kind != NodeKind.AGENT:
        raise GatewayNotDrainable
    rows = AgentNode.objects.filter(pk=node.pk, drain_requested_at=None)
    changed = rows.update(drain_requested_at=Now()) == 1
    if changed:
        note_transition(node, field="drain", before="", after="requested")
    return changed


@transaction.atomic
def cancel_drain(*, node: AgentNode) -> bool:
    """Let a node take new runs again. Returns False if no drain was requested."""
    rows = AgentNode.objects.filter(pk=node.pk, drain_requested_at__isnull=False)
    changed = rows.update(drain_requested_at=None) == 1
    if changed:
        note_transition(node, field="drain", before="requested", after="")
    return changed


@transaction.atomic
def remove_node(*, node: AgentNode) -> None:
    """Delete a node that is down. Raises NodeIsAlive: a live one would register again."""
    row = AgentNode.objects.select_for_update().filter(pk=node.pk, state=NodeState.DOWN).first()
    if row is None:
        raise NodeIsAlive
    row.delete()
