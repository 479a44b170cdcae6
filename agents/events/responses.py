"""A run told as Open Responses: the frames of one response, in order, numbered.

Source: Open Responses 2026-04-24, "Streaming events". `output_item.added` comes before
`content_part.added`, then deltas, then each `done` in the opposite order, then one terminal event.
"""

from typing import Any

import msgspec

from kernel.errors import PlatformError
from tenants.admission.usage import Usage

Frame = dict[str, Any]


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a response echoes of its request."""

    response_id: str
    item_id: str
    model: str
    created_at: int
    """Seconds since 1970."""
    instructions: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, Any] | None = None
    stream_id: str | None = None


class ResponseEvents:
    """Renders one run. Each method answers the frames that tell what just happened."""

    def __init__(self, settings: RunSettings) -> None:
        self._settings = settings
        self._number = -1
        self._parts: list[str] = []
        self._opened = False

    def created(self) -> list[Frame]:
        response = self._response("in_progress")
        return [
            self._frame("response.created", response=response),
            self._frame("response.in_progress", response=response),
        ]

    def delta(self, text: str) -> list[Frame]:
        """More of the answer. The first call also opens the message it belongs to."""
        opening = [] if self._opened else self._open()
        self._parts.append(text)
        return [*opening, self._of_part("response.output_text.delta", delta=text, logprobs=[])]

    def completed(self, usage: Usage, *, now: int) -> list[Frame]:
        closing = self._close("completed")
        response = self._response("completed", usage=usage, completed_at=now)
        return [*closing, self._frame("response.completed", response=response)]

    def incomplete(self, usage: Usage, *, reason: str, now: int) -> list[Frame]:
        """The model stopped at its limit, or the client cancelled."""
        closing = self._close("incomplete")
        status = "cancelled" if reason == "cancelled" else "incomplete"
        response = self._response(
            status, usage=usage, completed_at=now, incomplete_details={"reason": reason}
        )
        return [*closing, self._frame("response.incomplete", response=response)]

    def failed(self, error: PlatformError, *, now: int) -> list[Frame]:
        problem = {"code": error.code, "message": error.message}
        response = self._response("failed", completed_at=now, error=problem)
        return [self._frame("response.failed", response=response)]

    def _open(self) -> list[Frame]:
        self._opened = True
        item = self._item("in_progress", content=[])
        return [
            self._frame("response.output_item.added", output_index=0, item=item),
            self._of_part("response.content_part.added", part=text_part("")),
        ]

    def _close(self, status: str) -> list[Frame]:
        if not self._opened:
            return []
        text = "".join(self._parts)
        return [
            self._of_part("response.output_text.done", text=text, logprobs=[]),
            self._of_part("response.content_part.done", part=text_part(text)),
            self._frame("response.output_item.done", output_index=0, item=self._item(status)),
        ]

    def _of_part(self, kind: str, **fields: Any) -> Frame:
        place = {"item_id": self._settings.item_id, "output_index": 0, "content_index": 0}
        return self._frame(kind, **place, **fields)

    def _frame(self, kind: str, **fields: Any) -> Frame:
        self._number += 1
        frame = {"type": kind, "sequence_number": self._number, **fields}
        if self._settings.stream_id is not None:
            frame["stream_id"] = self._settings.stream_id
        return frame

    def _item(self, status: str, *, content: list[Frame] | None = None) -> Frame:
        return {
            "type": "message",
            "id": self._settings.item_id,
            "status": status,
            "role": "assistant",
            "content": [text_part("".join(self._parts))] if content is None else content,
        }

    def _response(self, status: str, *, usage: Usage | None = None, **changed: Any) -> Frame:
        settings = self._settings
        done = status != "in_progress"
        item_status = "completed" if status == "completed" else "incomplete"
        return {
            **UNCHANGING,
            "id": settings.response_id,
            "created_at": settings.created_at,
            "status": status,
            "model": settings.model,
            "instructions": settings.instructions,
            "output": [self._item(item_status)] if done and self._opened else [],
            "temperature": 1.0 if settings.temperature is None else settings.temperature,
            "top_p": 1.0 if settings.top_p is None else settings.top_p,
            "max_output_tokens": settings.max_output_tokens,
            "metadata": settings.metadata or {},
            "usage": usage_object(usage) if usage else None,
            **changed,
        }


# What the schema requires of every response and we do not vary yet.
UNCHANGING: Frame = {
    "object": "response",
    "completed_at": None,
    "incomplete_details": None,
    "error": None,
    "previous_response_id": None,
    "tools": [],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "truncation": "disabled",
    "text": {"format": {"type": "text"}},
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_logprobs": 0,
    "reasoning": None,
    "max_tool_calls": None,
    "store": False,
    "background": False,
    "service_tier": "default",
    "safety_identifier": None,
    "prompt_cache_key": None,
}


def text_part(text: str) -> Frame:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def usage_object(usage: Usage) -> Frame:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
