"""The response cache of chat completions: records responses and replays them."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agents.doors.base.call import Call
from agents.runtime.model.token_estimate import NO_DEMAND
from agents.runtime.response_cache.cache import HIT, CachedResponse
from inference.relay.schema import ChatRequest
from inference.relay.sse import DONE, data_of, events_of
from inference.relay.usage import UNREADABLE
from kernel.asgi import JSON_TYPE, Headers
from kernel.ids import new_id
from tenants.admission.gate import AdmissionOutcome, Subject
from tenants.admission.usage.records import Usage


class MessageDelta(msgspec.Struct, frozen=True):
    """A message or a delta of one. A response is cached only if it has nothing but text."""

    content: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None


class ReplayedChoice(msgspec.Struct, frozen=True):
    message: MessageDelta = MessageDelta()
    delta: MessageDelta = MessageDelta()
    finish_reason: str | None = None


class Choices(msgspec.Struct):
    """The parts of a completion or a chunk that the recorder reads."""

    choices: list[ReplayedChoice] = []


class ResponseRecorder:
    """Records a response on its way to the client, and stores it if it is a complete text.

    It is stored before its end is sent, so that the next equal request finds it.
    """

    def __init__(self, store: Callable[[CachedResponse], Awaitable[None]]) -> None:
        self._store = store
        self._usage: Callable[[], Usage] = Usage
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._is_text = True
        self._finish_reason: str | None = None

    def set_usage_source(self, usage: Callable[[], Usage]) -> None:
        """Set the function that returns the usage of the response."""
        self._usage = usage

    async def whole(self, body: bytes) -> None:
        """Record a whole response."""
        for choice in self._read(body):
            self._record(choice, choice.message)
        await self.ended()

    def part(self, block: bytes) -> None:
        """Record chunks of a stream."""
        for event in events_of(block):
            data = data_of(event)
            if data and data != DONE:
                for choice in self._read(data):
                    self._record(choice, choice.delta)

    def _read(self, body: bytes) -> list[ReplayedChoice]:
        try:
            return msgspec.json.decode(body, type=Choices).choices
        except UNREADABLE:
            self._is_text = False
            return []

    def _record(self, choice: ReplayedChoice, delta: MessageDelta) -> None:
        self._finish_reason = choice.finish_reason or self._finish_reason
        for text, texts in (
            (delta.content, self._texts),
            (delta.reasoning_content, self._reasoning),
        ):
            if isinstance(text, str):
                texts.append(text)
            elif text is not None:
                self._is_text = False
        if delta.tool_calls or delta.function_call or delta.refusal or delta.audio:
            self._is_text = False

    async def ended(self) -> None:
        """Store the response if it is complete."""
        if (answer := self._answer(self._usage())) is not None:
            await self._store(answer)

    def _answer(self, usage: Usage) -> CachedResponse | None:
        """Return the response to store. None if it is incomplete or is not only text."""
        text = "".join(self._texts)
        if not self._is_text or not text or self._finish_reason != "stop":
            return None
        return CachedResponse(
            text=text,
            reasoning="".join(self._reasoning),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            created=int(time.time()),
        )


async def replay_cached(
    call: Call,
    answer: CachedResponse,
    *,
    subject: Subject,
    request: ChatRequest,
    stream_headers: Headers,
) -> None:
    """Respond from the cache: the request is admitted, uses no tokens, and is marked as a hit.

    Raises the errors of admission. Token rates and token quotas do not count it.
    """
    gate = call.gateway.gate
    free = msgspec.structs.replace(subject, free=True)
    admission = await gate.admit(free, NO_DEMAND, request_id=call.request_id)
    call.limit_headers = [*admission.headers(), HIT]
    status = "failed"
    try:
        if request.stream:
            headers, body = stream_headers, as_stream(answer, request)
        else:
            headers, body = [JSON_TYPE], as_completion(answer, request)
        await call.respond(body, headers=headers)
        status = "completed"
    finally:
        saved = answer.prompt_tokens + answer.completion_tokens
        decision = {"cache": "hit", "saved_tokens": saved}
        gate.settle(admission, AdmissionOutcome(usage=Usage(), status=status, decision=decision))


NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""The usage of a cached response, as in the ledger."""


def as_completion(answer: CachedResponse, request: ChatRequest) -> bytes:
    """Encode a cached response as a `chat.completion`."""
    message = {"role": "assistant", "content": answer.text, **reasoning_of(answer)}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    head = head_of("chat.completion", request)
    return msgspec.json.encode({**head, "choices": [choice], "usage": NO_USAGE})


def as_stream(answer: CachedResponse, request: ChatRequest) -> bytes:
    """Encode a cached response as `chat.completion.chunk` events, with usage if requested."""
    head = head_of("chat.completion.chunk", request)

    def chunk(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**head, "choices": [choice]}

    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({**reasoning_of(answer), "content": answer.text}),
        chunk({}, "stop"),
    ]
    if request.wants_usage:
        chunks.append({**head, "choices": [], "usage": NO_USAGE})
    events = [b"data: %b\n\n" % msgspec.json.encode(each) for each in chunks]
    return b"".join([*events, b"data: [DONE]\n\n"])


def head_of(kind: str, request: ChatRequest) -> dict[str, Any]:
    return {
        "id": new_id("chatcmpl"),
        "object": kind,
        "created": int(time.time()),
        "model": request.model,
    }


def reasoning_of(answer: CachedResponse) -> dict[str, str]:
    return {"reasoning_content": answer.reasoning} if answer.reasoning else {}
