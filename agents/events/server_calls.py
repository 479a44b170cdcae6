"""The calls that the agent executes itself: which are pending, and which were started."""

from collections.abc import Sequence

from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Item,
    new_item_id,
)


class ServerCalls:
    """Calls without a result, in the order in which the model made them."""

    def __init__(self, made: Sequence[Item]) -> None:
        """`made` are the items of a resumed run."""
        self._calls: dict[str, FunctionCall] = {}
        self._indexes: dict[str, int] = {}
        """The output indexes of the started calls."""
        self._requests: dict[str, ApprovalRequest] = {}
        self._decided: set[str] = set()
        for item in made:
            if isinstance(item, FunctionCall) and item.server_label:
                self.hold(item)
            elif isinstance(item, FunctionCallOutput):
                self._calls.pop(item.call_id, None)
            self.note(item)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._calls

    def hold(self, call: FunctionCall) -> None:
        """Add a call of the model that has not started."""
        self._calls[call.call_id] = call

    def note(self, item: Item) -> None:
        """Record an approval request, or a decision; other items are ignored."""
        if isinstance(item, ApprovalRequest):
            self._requests[item.call_id] = item
        elif isinstance(item, ApprovalResponse):
            self._decided.add(item.approval_request_id)

    def to_start(self, call_id: str) -> list[FunctionCall]:
        """Return the call, and the earlier ones that have not started and need no approval."""
        calls = []
        for name, call in self._calls.items():
            request = self._requests.get(name)
            waiting = request is not None and request.id not in self._decided
            if name not in self._indexes and (name == call_id or not waiting):
                calls.append(call)
            if name == call_id:
                break
        return calls

    def started(self, call: FunctionCall, *, index: int) -> None:
        self._indexes[call.call_id] = index

    def is_started(self, call: FunctionCall) -> bool:
        return call.call_id in self._indexes

    def index_of(self, call: FunctionCall) -> int:
        """Return the output index of a started call."""
        return self._indexes[call.call_id]

    def call_of(self, output: FunctionCallOutput) -> FunctionCall:
        return self._calls[output.call_id]

    def request_for(self, call: FunctionCall) -> ApprovalRequest | None:
        """Return the approval request of the call, if there is one."""
        return self._requests.get(call.call_id)

    def finished(self, call: FunctionCall) -> None:
        del self._calls[call.call_id]
        self._indexes.pop(call.call_id, None)
        self._requests.pop(call.call_id, None)

    def stopped(self, *, note: str) -> list[FunctionCallOutput]:
        """Return an output with `note` for each call without one."""
        return [
            FunctionCallOutput(
                id=new_item_id("function_call_output"),
                call_id=call.call_id,
                output=note,
                is_error=True,
            )
            for call in self._calls.values()
        ]
