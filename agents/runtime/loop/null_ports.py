"""The rim of a run that nobody watches, decides for, or goes on with."""

from collections.abc import Mapping, Sequence

from agents.runtime.loop.ports import ApprovalDecision, Progress
from agents.schema.items import ApprovalRequest, Item
from agents.schema.loop_events import LoopEvent


async def discard_event(fact: LoopEvent) -> None:
    """Clients see the hand-off as one tool call."""


async def deny_all(requests: Sequence[ApprovalRequest]) -> Mapping[str, ApprovalDecision]:
    """For runs that cannot wait for a person; those of a hand-off would hold up all above them."""
    reason = "Approvals cannot be asked for here."
    return {request.id: ApprovalDecision(approve=False, reason=reason) for request in requests}


async def no_checkpoint(progress: Progress, items: Sequence[Item]) -> None:
    """A hand-off is done again from its beginning, if at all."""
