"""A run's items as they are stored and shown: a call that the agent executed is one `mcp_call`.

The loop needs the call and its result apart; clients must not take the call for one of theirs.
"""

from collections.abc import Iterable, Sequence

import msgspec

from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Item,
    McpCall,
)

STOPPED = "Error: The run was stopped before the tool had answered."
ERROR = "Error: "
"""What the model reads before the reason of a failure."""


def shown_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """Each call stands where its result came. One without a result stands last, unless it waits
    for an approval. A result that is here was the agent's, so its call was, too.
    """
    made = tuple(items)
    answers = answers_of(made)
    calls = {answer: call for call, answer in answers.items()}
    shown: list[Item] = []
    left: list[FunctionCall] = []
    requests: dict[str, ApprovalRequest] = {}
    decided: set[str] = set()
    for place, item in enumerate(made):
        match item:
            case FunctionCall() if place in answers:
                pass
            case FunctionCall() if item.server_label:
                left.append(item)
            case FunctionCallOutput() if place in calls:
                call = made[calls[place]]
                assert isinstance(call, FunctionCall), "only calls have answers"
                shown.append(finished_call(call, item, requests.pop(call.call_id, None)))
            case ApprovalRequest():
                requests[item.call_id] = item
                shown.append(item)
            case ApprovalResponse():
                decided.add(item.approval_request_id)
                shown.append(item)
            case _:
                shown.append(item)
    open_calls = [call for call in left if not waits(requests.get(call.call_id), decided)]
    return (*shown, *map(unfinished_call, open_calls))


def answers_of(items: Sequence[Item]) -> dict[int, int]:
    """For each call that has a result, the place of the result. Models use an id more than once."""
    answers: dict[int, int] = {}
    open_calls: dict[str, int] = {}
    for place, item in enumerate(items):
        if isinstance(item, FunctionCall):
            open_calls[item.call_id] = place
        elif isinstance(item, FunctionCallOutput) and item.call_id in open_calls:
            call = open_calls.pop(item.call_id)
            # A result that does not say whether it failed is of an earlier version, which did not
            # label calls either. Any other is a note on a call that was left to the client.
            if getattr(items[call], "server_label", "") or item.is_error is None:
                answers[call] = place
    return answers


def waits(request: ApprovalRequest | None, decided: set[str]) -> bool:
    return request is not None and request.id not in decided


def started_call(call: FunctionCall, request: ApprovalRequest | None) -> McpCall:
    """A call that is being executed."""
    return McpCall(
        id=call.id,
        call_id=call.call_id,
        name=call.name,
        arguments=call.arguments,
        # An earlier version did not say who executes a call.
        server_label=call.server_label or "tools",
        status="in_progress",
        approval_request_id=request.id if request else None,
    )


def unfinished_call(call: FunctionCall) -> McpCall:
    return msgspec.structs.replace(started_call(call, None), status="incomplete")


def finished_call(
    call: FunctionCall, output: FunctionCallOutput, request: ApprovalRequest | None
) -> McpCall:
    """A call with what it gave."""
    text = output.text
    is_error = text.startswith(ERROR) if output.is_error is None else output.is_error
    return msgspec.structs.replace(
        started_call(call, request),
        output=None if is_error else output.output,
        error=text.removeprefix(ERROR) if is_error else None,
        status="failed" if is_error else "completed",
    )
