"""Converts the events of a run to chunks of a chat completion and to the whole completion."""

import time
from typing import Any

import msgspec

from agents.events.event import Event
from agents.schema.json_types import Json

DELTAS = {
    b"response.output_text.delta": "content",
    b"response.refusal.delta": "refusal",
    b"response.reasoning_text.delta": "reasoning_content",
}
ITEM_DONE = b"response.output_item.done"
FINISH_REASONS = {"content_filter": "content_filter"}
"""The finish reason by reason of an incomplete response. Others are limits: OpenAI's `length`."""


class Delta(msgspec.Struct):
    delta: str


class DoneItem(msgspec.Struct):
    type: str
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class ItemDoneFrame(msgspec.Struct):
    item: DoneItem


class EndedUsage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    input_tokens_details: dict[str, int] = {}
    output_tokens_details: dict[str, int] = {}


class EndedResponse(msgspec.Struct):
    """The parts of a response object that are read here."""

    status: str
    usage: EndedUsage | None = None
    incomplete_details: dict[str, Any] | None = None


class EndFrame(msgspec.Struct):
    response: EndedResponse


class CompletionChunks:
    """Converts the events of one run, in order."""

    def __init__(self, model: str, *, run_id: str) -> None:
        self._head: Json = {
            "id": f"chatcmpl-{run_id.removeprefix('resp_')}",
            "created": int(time.time()),
            "model": model,
        }
        self._texts: dict[str, list[str]] = {}
        self._calls: list[Json] = []
        self._has_role = False
        self._finish_reason = "stop"
        self.used = EndedUsage()

    def of(self, event: Event) -> list[Json]:
        """Return the chunks of an event. Most events have none."""
        if event.kind in DELTAS:
            name = DELTAS[event.kind]
            text = msgspec.json.decode(event.data, type=Delta).delta
            self._texts.setdefault(name, []).append(text)
            return [self._chunk({name: text})]
        if event.kind == ITEM_DONE:
            return self._of_item(msgspec.json.decode(event.data, type=ItemDoneFrame).item)
        if event.is_last:
            self._end(msgspec.json.decode(event.data, type=EndFrame).response)
        return []

    def last(self) -> Json:
        """Return the chunk with the finish reason."""
        return self._chunk({}, finish_reason=self._finish_reason)

    def usage(self) -> Json:
        """Return the usage chunk, with the sum of all model calls of the run."""
        return {
            **self._whole_head("chat.completion.chunk"),
            "choices": [],
            "usage": usage_json(self.used),
        }

    def completion(self) -> Json:
        """Return the whole completion, without its usage."""
        texts = {name: "".join(parts) for name, parts in self._texts.items()}
        message: Json = {"role": "assistant", "content": None, "refusal": None, **texts}
        if self._calls:
            message["tool_calls"] = self._calls
        elif message["content"] is None and message["refusal"] is None:
            message["content"] = ""
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self._finish_reason,
            "logprobs": None,
        }
        return {**self._whole_head("chat.completion"), "choices": [choice]}

    def _of_item(self, item: DoneItem) -> list[Json]:
        if item.type != "function_call":
            return []
        called = {"name": item.name, "arguments": item.arguments}
        call = {"id": item.call_id, "type": "function", "function": called}
        self._calls.append(call)
        return [self._chunk({"tool_calls": [{"index": len(self._calls) - 1, **call}]})]

    def _end(self, response: EndedResponse) -> None:
        self.used = response.usage or self.used
        if response.status == "completed":
            self._finish_reason = "tool_calls" if self._calls else "stop"
        else:
            reason = (response.incomplete_details or {}).get("reason")
            self._finish_reason = FINISH_REASONS.get(str(reason), "length")

    def _chunk(self, delta: Json, *, finish_reason: str | None = None) -> Json:
        if not self._has_role:
            self._has_role = True
            delta = {"role": "assistant", "content": "", **delta}
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return {**self._whole_head("chat.completion.chunk"), "choices": [choice]}

    def _whole_head(self, kind: str) -> Json:
        return {"object": kind, **self._head}


def usage_json(used: EndedUsage) -> Json:
    """Return the usage in the format of chat completions."""
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.total_tokens,
        "prompt_tokens_details": {
            "cached_tokens": used.input_tokens_details.get("cached_tokens", 0)
        },
        "completion_tokens_details": {
            "reasoning_tokens": used.output_tokens_details.get("reasoning_tokens", 0)
        },
    }
