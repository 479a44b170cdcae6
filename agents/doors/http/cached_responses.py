"""Answers of the response cache at the door of chat completions: copied out, and given again."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agents.doors.base.call import Call
from agents.runtime.model.token_estimate import NO_DEMAND
from agents.runtime.response_cache.cache import HIT, CachedResponse
from inference.relay.schema import ChatRequest
from inference.relay.sse import events_of
from inference.relay.usage import UNREADABLE
from kernel.asgi import JSON_TYPE, Headers
from kernel.ids import new_id
from tenants.admission.gate import Outcome, Subject
from tenants.admission.usage.records import Usage


class MessageDelta(msgspec.Struct, frozen=True):
    """A message, or a part of one. What is in none of these fields is not text."""

    content: Any = None
    reasoning_content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    audio: Any = None


class Choice(msgspec.Struct, frozen=True):
    message: MessageDelta = MessageDelta()
    delta: MessageDelta = MessageDelta()
    finish_reason: str | None = None


class Choices(msgspec.Struct):
    """What is read of an answer and of its chunks alike."""

    choices: list[Choice] = []


class ResponseRecorder:
    """Listens to an answer on its way to the client, and keeps it if it is a complete text.

    It is kept before the client has its end: whoever asks again after that finds it.
    """

    def __init__(self, keep: Callable[[CachedResponse], Awaitable[None]]) -> None:
        self._keep = keep
        self._usage: Callable[[], Usage] = Usage
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._is_text = True
        self._finish_reason: str | None = None

    def metered_by(self, usage: Callable[[], Usage]) -> None:
        """`usage` says what the answer took."""
        self._usage = usage

    async def whole(self, body: bytes) -> None:
        """The answer came as one."""
        for choice in self._read(body):
            self._note(choice, choice.message)
        await self.ended()

    def part(self, block: bytes) -> None:
        """Chunks of a stream."""
        for event in events_of(block):
            if data := data_of(event):
                for choice in self._read(data):
                    self._note(choice, choice.delta)

    def _read(self, body: bytes) -> list[Choice]:
        try:
            return msgspec.json.decode(body, type=Choices).choices
        except UNREADABLE:
            self._is_text = False
            return []

    def _note(self, choice: Choice, said: MessageDelta) -> None:
        self._finish_reason = choice.finish_reason or self._finish_reason
        for text, texts in ((said.content, self._texts), (said.reasoning_content, self._reasoning)):
            if isinstance(text, str):
                texts.append(text)
            elif text is not None:
                self._is_text = False
        if said.tool_calls or said.function_call or said.refusal or said.audio:
            self._is_text = False

    async def ended(self) -> None:
        """Nothing follows."""
        if (answer := self._answer(self._usage())) is not None:
            await self._keep(answer)

    def _answer(self, usage: Usage) -> CachedResponse | None:
        """What may be given again; None if the model was not done, or did not just speak."""
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
    """Give a kept answer: admitted as a request, metered with no tokens, marked as a hit.

    Raises what admission refuses; token rates and quotas do not count it.
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
        gate.settle(admission, Outcome(usage=Usage(), status=status, decision=decision))


NO_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""What the tenant pays for, as in its ledger."""


def as_completion(answer: CachedResponse, request: ChatRequest) -> bytes:
    """A `chat.completion`."""
    message = {"role": "assistant", "content": answer.text, **reasoning_of(answer)}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    head = head_of("chat.completion", request)
    return msgspec.json.encode({**head, "choices": [choice], "usage": NO_USAGE})


def as_stream(answer: CachedResponse, request: ChatRequest) -> bytes:
    """The same as a stream of `chat.completion.chunk`s, with usage if the client asked for it."""
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


def data_of(event: bytes) -> bytes:
    """The JSON of an event; empty for comments and for the end."""
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    data = b"\n".join(line.removeprefix(b"data:").strip() for line in lines)
    return b"" if data == b"[DONE]" else data
