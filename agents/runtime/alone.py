"""The rim of a run that nobody watches, decides for, or goes on with."""

from collections.abc import Mapping, Sequence

from agents.runtime.items import ApprovalRequest, Item
from agents.runtime.ports import Fact, Progress, Verdict


async def tell_nobody(fact: Fact) -> None:
    """Clients see the hand-off as one tool call."""


async def nobody_approves(requests: Sequence[ApprovalRequest]) -> Mapping[str, Verdict]:
    """For runs that cannot wait for a person; those of a hand-off would hold up all above them."""
    reason = "Approvals cannot be asked for here."
    return {request.id: Verdict(approve=False, reason=reason) for request in requests}


async def keep_nothing(progress: Progress, items: Sequence[Item]) -> None:
    """A hand-off is done again from its beginning, if at all."""
