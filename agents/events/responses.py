"""A run told as Open Responses: the frames of one response, in order, numbered.

Source: Open Responses 2026-04-24, "Streaming events". `output_item.added` comes before
`content_part.added`, then deltas, then each `done` in the opposite order, then one terminal event.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from agents.events.event import PAUSED, Json
from agents.events.response_object import response_object
from agents.events.run_settings import RunSettings
from agents.runtime.items import FunctionCall, Item, Message, OutputText, item_json
from agents.runtime.ports import ArgumentsDelta, Fact, ItemDone, ItemStarted, TextDelta
from kernel.errors import PlatformError
from tenants.admission.usage import Usage

Frame = Json


class ResponseEvents:
    """Renders one run. Each method answers the frames that tell what just happened."""

    def __init__(
        self, settings: RunSettings, *, number: int = -1, done: Sequence[Item] = ()
    ) -> None:
        """`number` is that of the last frame and `done` what was made before, if it goes on."""
        self._settings = settings
        self.number = number
        self._done: list[Item] = list(done)
        self._open: Item | None = None
        self._parts: list[str] = []

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

    def told(self, fact: Fact) -> list[Frame]:
        """What the runtime says, as far as clients hear of it."""
        match fact:
            case ItemStarted():
                return self._begin(fact.item)
            case TextDelta():
                return self._text(fact.text)
            case ArgumentsDelta():
                return self._arguments(fact.arguments)
            case ItemDone():
                return self._end(fact.item)
            case _:
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
        status = "cancelled" if reason == "cancelled" else "incomplete"
        response = self._response(
            status, usage=usage, completed_at=now, incomplete_details={"reason": reason}
        )
        return [*closing, self._frame("response.incomplete", response=response)]

    def failed(self, error: PlatformError, *, now: int) -> list[Frame]:
        closing = self._cut_short()
        problem = {"code": error.code, "message": error.message}
        response = self._response("failed", completed_at=now, error=problem)
        return [*closing, self._frame("response.failed", response=response)]

    def output(self) -> tuple[Item, ...]:
        """What there is by now; an item that was not finished says so."""
        return (*self._done, *self._unfinished())

    def _begin(self, item: Item) -> list[Frame]:
        self._open, self._parts = item, []
        frames = [self._of_item("response.output_item.added", item_json(item), status=True)]
        if isinstance(item, Message):
            frames.append(self._of_part("response.content_part.added", part=text_part("")))
        return frames

    def _text(self, text: str) -> list[Frame]:
        self._parts.append(text)
        return [self._of_part("response.output_text.delta", delta=text, logprobs=[])]

    def _arguments(self, arguments: str) -> list[Frame]:
        self._parts.append(arguments)
        return [self._of_call("response.function_call_arguments.delta", delta=arguments)]

    def _end(self, item: Item) -> list[Frame]:
        """The end of the open item, or a whole one that was never open."""
        opening = [] if self._open is not None else self._begin(item)
        frames = [*opening, *self._last_words(item)]
        frames.append(self._of_item("response.output_item.done", item_json(item)))
        self._done.append(item)
        self._open = None
        return frames

    def _last_words(self, item: Item) -> list[Frame]:
        match item:
            case Message():
                return [
                    self._of_part("response.output_text.done", text=item.text, logprobs=[]),
                    self._of_part("response.content_part.done", part=text_part(item.text)),
                ]
            case FunctionCall():
                kind = "response.function_call_arguments.done"
                return [self._of_call(kind, arguments=item.arguments, name=item.name)]
            case _:
                return []

    def _cut_short(self) -> list[Frame]:
        return [frame for item in self._unfinished() for frame in self._end(item)]

    def _unfinished(self) -> Sequence[Item]:
        said = "".join(self._parts)
        match self._open:
            case Message():
                content = (OutputText(text=said),)
                return [msgspec.structs.replace(self._open, content=content, status="incomplete")]
            case FunctionCall():
                return [msgspec.structs.replace(self._open, arguments=said, status="incomplete")]
            case _:
                return []

    def _of_item(self, kind: str, item: Json, *, status: bool = False) -> Frame:
        if status and "status" in item:
            item = {**item, "status": "in_progress"}
        return self._frame(kind, output_index=len(self._done), item=item)

    def _of_part(self, kind: str, **fields: Any) -> Frame:
        return self._of_call(kind, content_index=0, **fields)

    def _of_call(self, kind: str, **fields: Any) -> Frame:
        assert self._open is not None, "deltas belong to an item that was started"
        return self._frame(kind, item_id=self._open.id, output_index=len(self._done), **fields)

    def _frame(self, kind: str, **fields: Any) -> Frame:
        self.number += 1
        frame = {"type": kind, "sequence_number": self.number, **fields}
        if self._settings.stream_id is not None:
            frame["stream_id"] = self._settings.stream_id
        return frame

    def _response(self, status: str, **changed: Any) -> Frame:
        return response_object(self._settings, status, output=self._done, **changed)


def text_part(text: str) -> Frame:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
