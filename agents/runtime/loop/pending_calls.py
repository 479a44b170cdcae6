"""Pending calls and approvals, derived from the items of a run. Pure."""

from collections.abc import Iterable, Sequence

from agents.runtime.loop.ports import ApprovalDecision, RunPlan, RunProgress
from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    Item,
    StoredItem,
)
from agents.schema.run_limits import RunLimits
from agents.schema.stored_items import open_calls
from inference.relay.schema import ChatRequest


def requests_of(items: Iterable[Item]) -> dict[str, ApprovalRequest]:
    """Return the approval requests, by call id."""
    return {item.call_id: item for item in items if isinstance(item, ApprovalRequest)}


def decisions_of(items: Iterable[Item]) -> dict[str, ApprovalDecision]:
    """Return the decisions, by request id. The first response to a request counts."""
    decisions: dict[str, ApprovalDecision] = {}
    for item in items:
        if isinstance(item, ApprovalResponse):
            decision = ApprovalDecision(approve=item.approve, reason=item.reason)
            decisions.setdefault(item.approval_request_id, decision)
    return decisions


def waiting(items: Sequence[Item]) -> tuple[ApprovalRequest, ...]:
    """Return the approvals that a run needs before it can continue."""
    decisions, open_ids = decisions_of(items), {call.call_id for call in open_calls(items)}
    return tuple(
        request
        for request in requests_of(items).values()
        if request.id not in decisions and request.call_id in open_ids
    )


def plan_from_items(
    items: Iterable[StoredItem | Item],
    *,
    request: ChatRequest,
    limits: RunLimits,
    done: RunProgress,
    started_calls: frozenset[str] = frozenset(),
    client_tools: frozenset[str] = frozenset(),
    agents: tuple[str, ...] = (),
) -> RunPlan:
    """Return the plan by which a run continues, from its stored items, oldest first.

    `request` is the first request of the run. Open calls are executed before the model is called
    again. Calls that need an approval are executed if the items or the `Approvals` port contain
    it; otherwise the run is paused again.
    """
    own = []
    for each in items:
        item = each.item if isinstance(each, StoredItem) else each
        is_input_item = isinstance(each, StoredItem) and each.is_input
        # An approval response may come as input of a request; it is the only input that counts.
        if not is_input_item or isinstance(item, ApprovalResponse):
            own.append(item)
    return RunPlan(
        request=request,
        limits=limits,
        done=done,
        items=tuple(own),
        started_calls=started_calls,
        client_tools=client_tools,
        agents=agents,
    )
