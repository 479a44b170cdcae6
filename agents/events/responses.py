"""A run told as Open Responses: the frames of one response, in order, numbered.

Source: Open Responses 2026-04-24, "Streaming events". `output_item.added` comes before
`content_part.added`, then deltas, then each `done` in the opposite order, then one terminal event.
Calls that the agent executes are OpenAI's `mcp_call`, so that clients execute only their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agents.events.error_codes import response_error
from agents.events.event import PAUSED
from agents.events.open_item import OpenItem
from agents.events.response_object import response_object
from agents.events.server_calls import ServerCalls
from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Item,
    McpCall,
    shown_json,
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
from agents.schema.stored_items import STOPPED, finished_call, shown_items, started_call
from kernel.errors import PlatformError
from tenants.admission.usage.records import Usage

Frame = Json

PARTS: Mapping[type[LoopEvent], str] = {
    TextDelta: "output_text",
    RefusalDelta: "refusal",
    ReasoningDelta: "reasoning_text",
}
"""The kind of part that a delta belongs to."""


class ResponseEvents:
    """Renders one run. Each method answers the frames that tell what just happened."""

    def __init__(
        self, settings: RunSettings, *, number: int = -1, done: Sequence[Item] = ()
    ) -> None:
        """`number` is that of the last frame and `done` what was made before, if it goes on."""
        self._settings = settings
        self.number = number
        self._made: list[Item] = list(done)
        """As the loop made it; `_shown` is what clients see of it, by output index."""
        self._shown: list[Item] = list(shown_items(done))
        self._calls = ServerCalls(done)
        self._open: OpenItem | None = None

    def queued(self) -> list[Frame]:
        """It waits for others."""
        response = self._response("queued")
        return [
            self._frame("response.created", response=response),
            self._frame("response.queued", response=response),
        ]

    def created(self) -> list[Frame]:
        """It runs, without having waited."""
        response = self._response("in_progress")
        return [self._frame("response.created", response=response), *self.in_progress()]

    def in_progress(self) -> list[Frame]:
        return [self._frame("response.in_progress", response=self._response("in_progress"))]

    def frames_of(self, fact: LoopEvent) -> list[Frame]:
        """The events of the runtime that clients are sent."""
        match fact:
            case ItemStarted():
                return self._start(fact.item)
            case TextDelta() | RefusalDelta() | ReasoningDelta():
                return self._delta(PARTS[type(fact)], fact.text)
            case ArgumentsDelta():
                return self._arguments(fact.arguments)
            case ToolStarted():
                return self._start_calls(fact.call_id)
            case ItemDone():
                return self._done(fact.item)
        return []

    def paused(self, usage: Usage) -> list[Frame]:
        """It waits for a person, and goes on later."""
        details = {"reason": "approval_required"}
        response = self._response("incomplete", usage=usage, incomplete_details=details)
        return [self._frame(PAUSED, response=response)]

    def completed(self, usage: Usage, *, now: int) -> list[Frame]:
        closing = self._cut_short()
        response = self._response("completed", usage=usage, completed_at=now)
        return [*closing, self._frame("response.completed", response=response)]

    def incomplete(self, usage: Usage, *, reason: str, now: int) -> list[Frame]:
        """The model stopped at its limit, or the run was cancelled."""
        closing = self._cut_short()
        is_cancelled = reason == "cancelled"
        response = self._response(
            "cancelled" if is_cancelled else "incomplete",
            usage=usage,
            completed_at=now,
            incomplete_details=None if is_cancelled else {"reason": reason},
        )
        return [*closing, self._frame("response.incomplete", response=response)]

    def failed(self, error: PlatformError, *, now: int) -> list[Frame]:
        closing = self._cut_short()
        response = self._response("failed", completed_at=now, error=response_error(error))
        return [*closing, self._frame("response.failed", response=response)]

    def output(self) -> tuple[Item, ...]:
        """What there is by now; an item that was not finished says so."""
        return (*self._made, *self._unfinished())

    def whole(self, item: Item) -> list[Frame]:
        """All frames of an item that is there already, each text in one delta."""
        if isinstance(item, McpCall):
            started = msgspec.structs.replace(item, output=None, error=None, status="in_progress")
            self._shown.append(started)
            self._made.append(item)
            return [*self._started(started), *self._finished(item, index=len(self._shown) - 1)]
        return [*self._begin(item), *self._end(item)]

    # Items that come piece by piece

    def _start(self, item: Item) -> list[Frame]:
        if isinstance(item, FunctionCall) and item.server_label:
            return []  # shown when it is known whether a person must allow it
        return self._begin(item)

    def _begin(self, item: Item) -> list[Frame]:
        self._open = OpenItem(item)
        json = shown_json(item)
        if "status" in json:
            json["status"] = "in_progress"
        return [self._of_item("response.output_item.added", json, index=len(self._shown))]

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
        assert self._open is not None, "an item ends that was begun"
        frames = self._of_open(self._open.end(item))
        json = shown_json(item)
        frames.append(self._of_item("response.output_item.done", json, index=len(self._shown)))
        self._made.append(item)
        self._shown.append(item)
        self._open = None
        return frames

    # Calls that the agent executes

    def _start_calls(self, call_id: str) -> list[Frame]:
        """The call, and those before it that wait for nobody: results come in this order."""
        frames: list[Frame] = []
        for call in self._calls.to_start(call_id):
            started = started_call(call, self._calls.request_for(call))
            self._calls.started(call, index=len(self._shown))
            self._shown.append(started)
            frames += self._started(started)
        return frames

    def _finish_call(self, output: FunctionCallOutput) -> list[Frame]:
        call = self._calls.call_of(output)
        frames = [] if self._calls.is_started(call) else self._start_calls(call.call_id)
        index = self._calls.index_of(call)
        shown = finished_call(call, output, self._calls.request_for(call))
        self._calls.finished(call)
        self._made.append(output)
        self._shown[index] = shown
        return [*frames, *self._finished(shown, index=index)]

    def _started(self, call: McpCall) -> list[Frame]:
        index = len(self._shown) - 1
        place = {"item_id": call.id, "output_index": index}
        bare = {**shown_json(call), "arguments": ""}
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
            self._of_item("response.output_item.done", shown_json(call), index=index),
        ]

    # How it ends before it is done

    def _cut_short(self) -> list[Frame]:
        frames = [frame for item in self._unfinished() for frame in self._end(item)]
        for output in self._calls.stopped(note=STOPPED):
            frames += self._finish_call(output)
        return frames

    def _unfinished(self) -> Sequence[Item]:
        item = self._open.as_it_stands() if self._open else None
        return [] if item is None else [item]

    # Frames

    def _of_item(self, kind: str, item: Json, *, index: int) -> Frame:
        return self._frame(kind, output_index=index, item=item)

    def _of_open(self, pieces: Sequence[tuple[str, Json]]) -> list[Frame]:
        assert self._open is not None, "pieces belong to an item that was started"
        place = {"item_id": self._open.item.id, "output_index": len(self._shown)}
        return [self._frame(kind, **place, **fields) for kind, fields in pieces]

    def _frame(self, kind: str, **fields: Any) -> Frame:
        self.number += 1
        frame = {"type": kind, "sequence_number": self.number, **fields}
        if self._settings.stream_id is not None:
            frame["stream_id"] = self._settings.stream_id
        return frame

    def _response(self, status: str, **changed: Any) -> Frame:
        return response_object(self._settings, status, output=self._shown, **changed)
