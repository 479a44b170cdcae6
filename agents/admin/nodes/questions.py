"""The confirmations of actions on nodes."""

from agents.models.node import NodeKind, NodeState
from kernel.admin.base import Question

DRAIN = Question(
    title="Drain this node?",
    explains="Within five seconds it takes no new runs; those that it executes finish. It stays "
    "registered, so that you can cancel the drain, or stop its process.",
    verb="Drain",
    applies=lambda node: (
        node.kind == NodeKind.AGENT
        and node.drain_requested_at is None
        and node.state != NodeState.DOWN
    ),
    otherwise="This node is drained already, is down, or is a gateway: stop the process of a "
    "gateway, which finishes its requests first.",
)
CANCEL_DRAIN = Question(
    title="Cancel the drain?",
    explains="The node takes new runs again within five seconds.",
    verb="Cancel the drain",
    applies=lambda node: node.drain_requested_at is not None,
    otherwise="No drain of this node is requested.",
)
REMOVE = Question(
    title="Remove this node from the list?",
    explains="It is down. If its process comes back, it registers again.",
    verb="Remove",
    dangerous=True,
    applies=lambda node: node.state == NodeState.DOWN,
    otherwise="Only a node that is down can be removed. Drain it and stop its process first.",
)
