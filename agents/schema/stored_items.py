"""Converts a run's items for storage and clients: a call with its output becomes one `mcp_call`.

The loop needs call and output separately; clients must not execute the agent's calls.
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
    OutputPart,
    new_item_id,
)

STOPPED = "Error: The run was stopped before the tool had answered."
ERROR = "Error: "
"""The prefix of the output of a failed call."""


def client_view(items: Iterable[Item]) -> tuple[Item, ...]:
    """Return the items as clients see them: calls of the agent take the places of their outputs.

    A call without an output comes last, unless it waits for an approval.
    """
    made = tuple(items)
    answers = answers_of(made)
    calls = {answer: call for call, answer in answers.items()}
    visible: list[Item] = []
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
                visible.append(finished_call(call, item, requests.pop(call.call_id, None)))
            case ApprovalRequest():
                requests[item.call_id] = item
                visible.append(item)
            case ApprovalResponse():
                decided.add(item.approval_request_id)
                visible.append(item)
            case _:
                visible.append(item)
    open_calls = [call for call in left if not waits(requests.get(call.call_id), decided)]
    return (*visible, *map(unfinished_call, open_calls))


def answers_of(items: Sequence[Item]) -> dict[int, int]:
    """Maps the index of each call to that of its output. Models may use an id more than once."""
    answers: dict[int, int] = {}
    open_calls: dict[str, int] = {}
    for place, item in enumerate(items):
        if isinstance(item, FunctionCall):
            open_calls[item.call_id] = place
        elif isinstance(item, FunctionCallOutput) and item.call_id in open_calls:
            call = open_calls.pop(item.call_id)
            # An output without `is_error` is of an earlier version, which did not label calls.
            # Any other output is a note on a call that the client should have executed.
            if getattr(items[call], "server_label", "") or item.is_error is None:
                answers[call] = place
    return answers


def waits(request: ApprovalRequest | None, decided: set[str]) -> bool:
    return request is not None and request.id not in decided


def started_call(call: FunctionCall, request: ApprovalRequest | None) -> McpCall:
    """Return a call that is being executed."""
    return McpCall(
        id=call.id,
        call_id=call.call_id,
        name=call.name,
        arguments=call.arguments,
        # Calls of an earlier version have no label.
        server_label=call.server_label or "tools",
        status="in_progress",
        approval_request_id=request.id if request else None,
    )


def unfinished_call(call: FunctionCall) -> McpCall:
    return msgspec.structs.replace(started_call(call, None), status="incomplete")


def finished_call(
    call: FunctionCall, output: FunctionCallOutput, request: ApprovalRequest | None
) -> McpCall:
    """Return a call with its output."""
    text = output.text
    is_error = text.startswith(ERROR) if output.is_error is None else output.is_error
    return msgspec.structs.replace(
        started_call(call, request),
        output=None if is_error else output.output,
        error=text.removeprefix(ERROR) if is_error else None,
        status="failed" if is_error else "completed",
    )


def open_calls(items: Iterable[Item]) -> tuple[FunctionCall, ...]:
    """Return the calls without an output, in order."""
    calls: dict[str, FunctionCall] = {}
    for item in items:
        if isinstance(item, FunctionCall):
            calls[item.call_id] = item
        elif isinstance(item, FunctionCallOutput):
            calls.pop(item.call_id, None)
    return tuple(calls.values())


def outputs_for_open_calls(items: Iterable[Item], *, note: str) -> tuple[FunctionCallOutput, ...]:
    """Return an output with `note` for each open call: engines refuse a history with open calls."""
    return tuple(output_of(call, note) for call in open_calls(items))


def output_of(
    call: FunctionCall, output: str | tuple[OutputPart, ...], *, is_error: bool = True
) -> FunctionCallOutput:
    """Return the output of a call.

    By default it is an error that explains why there is no output.
    """
    return FunctionCallOutput(
        id=new_item_id("function_call_output"),
        call_id=call.call_id,
        output=output,
        is_error=is_error,
    )
