"""Null implementations of the loop's ports, for runs without readers, approvals or checkpoints."""

from collections.abc import Collection, Mapping, Sequence

from agents.runtime.loop.ports import ApprovalDecision, RunProgress
from agents.schema.items import ApprovalRequest, Item
from agents.schema.loop_events import LoopEvent


async def discard_event(event: LoopEvent) -> None:
    """Discard an event: clients see a hand-off as one tool call."""


async def deny_all(requests: Sequence[ApprovalRequest]) -> Mapping[str, ApprovalDecision]:
    """Deny all requests: a hand-off cannot be paused, because that would block its parent runs."""
    reason = "Approvals cannot be requested here."
    return {request.id: ApprovalDecision(approve=False, reason=reason) for request in requests}


async def no_checkpoint(
    progress: RunProgress, items: Sequence[Item], *, starting: Collection[str] = ()
) -> None:
    """Store nothing: hand-offs are repeated from the beginning."""
