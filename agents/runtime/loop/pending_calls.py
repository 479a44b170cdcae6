"""Calls without a result: what is left to do of a run, as its items tell. Pure."""

from collections.abc import Iterable, Sequence

from agents.runtime.loop.ports import ApprovalDecision, Progress, RunPlan
from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Item,
    McpCall,
    OutputPart,
    Reasoning,
    StoredItem,
    new_item_id,
)
from agents.schema.run_limits import RunLimits
from inference.relay.schema import ChatRequest

LEFT_OPEN = "Error: The client has not sent what this call gave."


def open_calls(items: Iterable[Item]) -> tuple[FunctionCall, ...]:
    """Calls that nothing answers yet, in order."""
    calls: dict[str, FunctionCall] = {}
    for item in items:
        if isinstance(item, FunctionCall):
            calls[item.call_id] = item
        elif isinstance(item, FunctionCallOutput):
            calls.pop(item.call_id, None)
    return tuple(calls.values())


def answered(items: Iterable[Item], *, note: str) -> tuple[FunctionCallOutput, ...]:
    """An output with `note` for each open call: engines refuse a history that lacks one."""
    return tuple(output_of(call, note) for call in open_calls(items))


def answered_items(items: Iterable[Item]) -> list[Item]:
    """`items` as engines accept them: every call has its output before anything else is said.

    A call that the client has left open gets `LEFT_OPEN` as its output, as engines are told; what
    is stored stays as it is. An output that comes later than that comes behind its call, which
    stands there once more. An output without a call is left out.
    """
    history = AnsweredHistory()
    for item in items:
        history.add(item)
    history.answer_open_calls()
    return history.items


class AnsweredHistory:
    """Items in the order in which they were said, on their way to an engine."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._open: dict[str, FunctionCall] = {}
        self._first_open = 0
        """Where the first of them stands among the items."""
        self._left_open: dict[str, FunctionCall] = {}

    def add(self, item: Item) -> None:
        match item:
            case FunctionCall():
                self._add_call(item)
            case FunctionCallOutput():
                self._add_output(item)
            case McpCall():
                self._add_executed(item)
            case Reasoning():
                self._begin_answer()
                self.items.append(item)
            case ApprovalRequest() | ApprovalResponse():
                self.items.append(item)  # no engine is told of them
            case _:
                self.answer_open_calls()
                self.items.append(item)

    def answer_open_calls(self) -> None:
        for call_id, call in self._open.items():
            self.items.append(output_of(call, LEFT_OPEN))
            self._left_open[call_id] = call
        self._open.clear()

    def _begin_answer(self) -> None:
        """What a model says after an output is of its next answer."""
        if self.items and isinstance(self.items[-1], FunctionCallOutput):
            self.answer_open_calls()

    def _add_executed(self, call: McpCall) -> None:
        """It brings its output with it, so it stands before the calls of its answer that wait."""
        self._begin_answer()
        if self._open:
            self.items.insert(self._first_open, call)
            self._first_open += 1
        else:
            self.items.append(call)

    def _add_call(self, call: FunctionCall) -> None:
        self._begin_answer()
        if not self._open:
            self._first_open = len(self.items)
        self.items.append(call)
        self._open[call.call_id] = call
        self._left_open.pop(call.call_id, None)

    def _add_output(self, output: FunctionCallOutput) -> None:
        late = self._left_open.get(output.call_id)
        if late is not None:
            self._add_call(late)
        if self._open.pop(output.call_id, None) is not None:
            self.items.append(output)


def output_of(
    call: FunctionCall, output: str | tuple[OutputPart, ...], *, is_error: bool = True
) -> FunctionCallOutput:
    """The result of a call. By default it is a note on why there is none."""
    return FunctionCallOutput(
        id=new_item_id("function_call_output"),
        call_id=call.call_id,
        output=output,
        is_error=is_error,
    )


def requests_of(items: Iterable[Item]) -> dict[str, ApprovalRequest]:
    """What was asked of people, by the call that it is about."""
    return {item.call_id: item for item in items if isinstance(item, ApprovalRequest)}


def verdicts_of(items: Iterable[Item]) -> dict[str, ApprovalDecision]:
    """What people said, by the request that they answered. The first answer counts."""
    verdicts: dict[str, ApprovalDecision] = {}
    for item in items:
        if isinstance(item, ApprovalResponse):
            verdict = ApprovalDecision(approve=item.approve, reason=item.reason)
            verdicts.setdefault(item.approval_request_id, verdict)
    return verdicts


def waiting(items: Sequence[Item]) -> tuple[ApprovalRequest, ...]:
    """Approvals that a run needs before it can go on."""
    verdicts, open_ids = verdicts_of(items), {call.call_id for call in open_calls(items)}
    return tuple(
        request
        for request in requests_of(items).values()
        if request.id not in verdicts and request.call_id in open_ids
    )


def plan_from_items(
    items: Iterable[StoredItem | Item],
    *,
    request: ChatRequest,
    limits: RunLimits,
    done: Progress,
    client_tools: frozenset[str] = frozenset(),
    agents: tuple[str, ...] = (),
) -> RunPlan:
    """The plan by which a run goes on, from its own items as they are stored, oldest first.

    `request` is made as at the beginning, from what came before the run and its input. Open calls
    are carried out before the model is asked again; those that a person must allow are, if
    the items or the `Approvals` port say so by now, and else the run is paused anew.
    """
    own = []
    for each in items:
        item = each.item if isinstance(each, StoredItem) else each
        brought = isinstance(each, StoredItem) and each.is_input
        # A person's answer may come through a request: it is the one input that a run takes in.
        if not brought or isinstance(item, ApprovalResponse):
            own.append(item)
    return RunPlan(
        request=request,
        limits=limits,
        done=done,
        items=tuple(own),
        client_tools=client_tools,
        agents=agents,
    )
