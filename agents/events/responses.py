"""The events of a run as Open Responses: the frames of one response, in order, numbered.

Source: Open Responses 2026-04-24, "Streaming events". `output_item.added` comes before
`content_part.added`, then deltas, then each `done` in the opposite order, then one terminal event.
Calls that the agent executes are OpenAI's `mcp_call`, so that clients execute only their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agents.events.error_codes import response_error
from agents.events.event import PAUSED, Event
from agents.events.open_item import OpenItem, started_items
from agents.events.response_object import response_object
from agents.events.server_calls import ServerCalls
from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Item,
    McpCall,
    client_json,
)
from agents.schema.json_types import Json
from agents.schema.loop_events import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    LoopEvent,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolStarted,
)
from agents.schema.run_settings import RunSettings
from agents.schema.stored_items import STOPPED, client_view, finished_call, started_call
from kernel.errors import PlatformError
from tenants.admission.usage.records import Usage

Frame = Json

PARTS: Mapping[type[LoopEvent], str] = {
    TextDelta: "output_text",
    RefusalDelta: "refusal",
    ReasoningDelta: "reasoning_text",
}
"""The type of the content part of each delta."""


class ResponseEvents:
    """Renders the events of one run. Each method returns the frames of one event."""

    def __init__(
        self, settings: RunSettings, *, number: int = -1, done: Sequence[Item] = ()
    ) -> None:
        """A resumed run has the `number` of its last frame, and the items `done` before."""
        self._settings = settings
        self.number = number
        self._made: list[Item] = list(done)
        """The items of the loop; `_visible` has them as clients see them, by output index."""
        self._visible: list[Item | None] = [
            item for item in client_view(done) if not is_unfinished_call(item)
        ]
        """None in the place of an item that a worker did not finish before it died."""
        self._calls = ServerCalls(done)
        self._open: OpenItem | None = None

    def queued(self) -> list[Frame]:
        """Return the frames of a run that waits for other runs."""
        response = self._response("queued")
        return [
            self._frame("response.created", response=response),
            self._frame("response.queued", response=response),
        ]

    def created(self) -> list[Frame]:
        """Return the frames of a run that starts at once."""
        response = self._response("in_progress")
        return [self._frame("response.created", response=response), *self.in_progress()]

    def in_progress(self) -> list[Frame]:
        return [self._frame("response.in_progress", response=self._response("in_progress"))]

    def frames_of(self, loop_event: LoopEvent) -> list[Frame]:
        """Return the frames of a loop event; none for events that clients do not get."""
        match loop_event:
            case ItemStarted():
                return self._start(loop_event.item)
            case TextDelta() | RefusalDelta() | ReasoningDelta():
                return self._delta(PARTS[type(loop_event)], loop_event.text)
            case ArgumentsDelta():
                return self._arguments(loop_event.arguments)
            case ToolStarted():
                return self._start_calls(loop_event.call_id)
            case ItemDone():
                return self._done(loop_event.item)
        return []

    def paused(self, usage: Usage) -> list[Frame]:
        """Return the frame of a run that waits for an approval."""
        details = {"reason": "approval_required"}
        response = self._response("incomplete", usage=usage, incomplete_details=details)
        return [self._frame(PAUSED, response=response)]

    def completed(self, usage: Usage, *, now: int) -> list[Frame]:
        closing = self._close_unfinished()
        response = self._response("completed", usage=usage, completed_at=now)
        return [*closing, self._frame("response.completed", response=response)]

    def incomplete(self, usage: Usage, *, reason: str, now: int) -> list[Frame]:
        """Return the frames of a run that was ended by a limit, or cancelled."""
        closing = self._close_unfinished()
        is_cancelled = reason == "cancelled"
        response = self._response(
            "cancelled" if is_cancelled else "incomplete",
            usage=usage,
            completed_at=now,
            incomplete_details=None if is_cancelled else {"reason": reason},
        )
        return [*closing, self._frame("response.incomplete", response=response)]

    def failed(self, error: PlatformError, *, now: int) -> list[Frame]:
        closing = self._close_unfinished()
        response = self._response("failed", completed_at=now, error=response_error(error))
        return [*closing, self._frame("response.failed", response=response)]

    def output(self) -> tuple[Item, ...]:
        """Return the items so far; an unfinished one has the status `incomplete`."""
        return (*self._made, *self._unfinished())

    def whole(self, item: Item) -> list[Frame]:
        """Return all frames of a stored item, with each text in one delta."""
        if isinstance(item, McpCall):
            started = msgspec.structs.replace(item, output=None, error=None, status="in_progress")
            self._visible.append(started)
            self._made.append(item)
            return [*self._started(started), *self._finished(item, index=len(self._visible) - 1)]
        return [*self._begin(item), *self._end(item)]

    def abandon(self, events: Sequence[Event]) -> list[Frame]:
        """Continue after the events that a dead worker wrote after its last checkpoint.

        Returns the frames that end its items. They are not part of the output, because the work
        is repeated; later items get the next output indexes.
        """
        self.number += len(events)
        frames = []
        for item in started_items(events):
            # An item that the checkpoint has is in the output already.
            if item.index >= len(self._visible):
                self._visible += [None] * (item.index + 1 - len(self._visible))
            if not item.is_done:
                json = {**item.json, "status": "incomplete"}
                frames.append(self._of_item("response.output_item.done", json, index=item.index))
        return frames

    # Items that are streamed

    def _start(self, item: Item) -> list[Frame]:
        if isinstance(item, FunctionCall) and item.server_label:
            return []  # added once it is known whether the call needs an approval
        return self._begin(item)

    def _begin(self, item: Item) -> list[Frame]:
        self._open = OpenItem(item)
        json = client_json(item)
        if "status" in json:
            json["status"] = "in_progress"
        return [self._of_item("response.output_item.added", json, index=len(self._visible))]

    def _delta(self, kind: str, text: str) -> list[Frame]:
        assert self._open is not None, "deltas belong to an item that was started"
        return self._of_open(self._open.add(kind, text))

    def _arguments(self, arguments: str) -> list[Frame]:
        if self._open is None:
            return []
        return self._of_open(self._open.add_arguments(arguments))

    def _done(self, item: Item) -> list[Frame]:
        match item:
            case FunctionCall(server_label=label) if label:
                self._calls.hold(item)
                self._made.append(item)
                return []
            case FunctionCallOutput() if item.call_id in self._calls:
                return self._finish_call(item)
            case ApprovalRequest() | ApprovalResponse():
                self._calls.note(item)
            case _:
                pass
        opening = [] if self._open is not None else self._begin(item)
        return [*opening, *self._end(item)]

    def _end(self, item: Item) -> list[Frame]:
        assert self._open is not None, "only a started item ends"
        frames = self._of_open(self._open.end(item))
        json = client_json(item)
        frames.append(self._of_item("response.output_item.done", json, index=len(self._visible)))
        self._made.append(item)
        self._visible.append(item)
        self._open = None
        return frames

    # Calls that the agent executes

    def _start_calls(self, call_id: str) -> list[Frame]:
        """Start the call, and those before it that need no approval: outputs have this order."""
        frames: list[Frame] = []
        for call in self._calls.to_start(call_id):
            started = started_call(call, self._calls.request_for(call))
            self._calls.started(call, index=len(self._visible))
            self._visible.append(started)
            frames += self._started(started)
        return frames

    def _finish_call(self, output: FunctionCallOutput) -> list[Frame]:
        call = self._calls.call_of(output)
        frames = [] if self._calls.is_started(call) else self._start_calls(call.call_id)
        index = self._calls.index_of(call)
        visible = finished_call(call, output, self._calls.request_for(call))
        self._calls.finished(call)
        self._made.append(output)
        self._visible[index] = visible
        return [*frames, *self._finished(visible, index=index)]

    def _started(self, call: McpCall) -> list[Frame]:
        index = len(self._visible) - 1
        place = {"item_id": call.id, "output_index": index}
        bare = {**client_json(call), "arguments": ""}
        return [
            self._of_item("response.output_item.added", bare, index=index),
            self._frame("response.mcp_call.in_progress", **place),
            self._frame("response.mcp_call_arguments.delta", **place, delta=call.arguments),
            self._frame("response.mcp_call_arguments.done", **place, arguments=call.arguments),
        ]

    def _finished(self, call: McpCall, *, index: int) -> list[Frame]:
        kind = "completed" if call.status == "completed" else "failed"
        return [
            self._frame(f"response.mcp_call.{kind}", item_id=call.id, output_index=index),
            self._of_item("response.output_item.done", client_json(call), index=index),
        ]

    # An end before the items are done

    def _close_unfinished(self) -> list[Frame]:
        frames = [frame for item in self._unfinished() for frame in self._end(item)]
        for output in self._calls.stopped(note=STOPPED):
            frames += self._finish_call(output)
        return frames

    def _unfinished(self) -> Sequence[Item]:
        item = self._open.as_incomplete_item() if self._open else None
        return [] if item is None else [item]

    # Frames

    def _of_item(self, kind: str, item: Json, *, index: int) -> Frame:
        return self._frame(kind, output_index=index, item=item)

    def _of_open(self, pieces: Sequence[tuple[str, Json]]) -> list[Frame]:
        assert self._open is not None, "pieces belong to an item that was started"
        place = {"item_id": self._open.item.id, "output_index": len(self._visible)}
        return [self._frame(kind, **place, **fields) for kind, fields in pieces]

    def _frame(self, kind: str, **fields: Any) -> Frame:
        self.number += 1
        frame = {"type": kind, "sequence_number": self.number, **fields}
        if self._settings.stream_id is not None:
            frame["stream_id"] = self._settings.stream_id
        return frame

    def _response(self, status: str, **changed: Any) -> Frame:
        output = [item for item in self._visible if item is not None]
        return response_object(self._settings, status, output=output, **changed)


def is_unfinished_call(item: Item) -> bool:
    """Return whether the item is a call of the agent that is executed when its run continues."""
    return isinstance(item, McpCall) and item.status == "incomplete"
