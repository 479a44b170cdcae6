"""Items in the order that engines accept: every call is followed by its output. Pure."""

from collections.abc import Iterable

from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Item,
    McpCall,
    Reasoning,
)
from agents.schema.stored_items import output_of

LEFT_OPEN = "Error: The client has not sent the output of this call."


def answered_items(items: Iterable[Item]) -> list[Item]:
    """`items` as engines accept them: every call has its output before the next message.

    A call that the client has left open gets `LEFT_OPEN` as its output; stored items do not
    change. If its output comes later, the call is repeated before it. An output without a call is
    dropped.
    """
    history = AnsweredHistory()
    for item in items:
        history.add(item)
    history.answer_open_calls()
    return history.items


class AnsweredHistory:
    """Collects items in the order that engines accept."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._open: dict[str, FunctionCall] = {}
        self._first_open = 0
        """The index of the first open call among the items."""
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
                self.items.append(item)  # engines do not get them
            case _:
                self.answer_open_calls()
                self.items.append(item)

    def answer_open_calls(self) -> None:
        for call_id, call in self._open.items():
            self.items.append(output_of(call, LEFT_OPEN))
            self._left_open[call_id] = call
        self._open.clear()

    def _begin_answer(self) -> None:
        """Close the open calls if the model's next answer starts, which is after an output."""
        if self.items and isinstance(self.items[-1], FunctionCallOutput):
            self.answer_open_calls()

    def _add_executed(self, call: McpCall) -> None:
        """Add a call that has its output. It comes before the open calls of the same answer."""
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
