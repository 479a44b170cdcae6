"""Converts a run's events for `POST /v1/chat`: text deltas and the final answer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from agents.events.event import Event

DELTAS = {b"response.output_text.delta", b"response.refusal.delta"}


class AnswerDelta(msgspec.Struct):
    delta: str


class ChatUsage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class ContentPart(msgspec.Struct):
    text: str = ""
    refusal: str = ""


class OutputItem(msgspec.Struct):
    type: str
    role: str = ""
    content: list[ContentPart] = []


class Response(msgspec.Struct):
    """The parts of a response object that are read here."""

    status: str
    output: list[OutputItem] = []
    usage: ChatUsage | None = None
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None


class LastFrame(msgspec.Struct):
    response: Response


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a run."""

    text: str
    status: str
    usage: ChatUsage
    error: dict[str, Any] | None = None
    reason: str = ""


async def chat_events(
    follow: AsyncGenerator[Sequence[Event]],
) -> AsyncGenerator[str | ChatAnswer]:
    """Yield text deltas as they arrive, and at the end the whole answer."""
    async with aclosing(follow):
        async for events in follow:
            text = "".join(
                msgspec.json.decode(event.data, type=AnswerDelta).delta
                for event in events
                if event.kind in DELTAS
            )
            if text:
                yield text
            if events[-1].is_last or events[-1].is_pause:
                yield read_answer(events[-1])
                return


def read_answer(event: Event) -> ChatAnswer:
    response = msgspec.json.decode(event.data, type=LastFrame).response
    messages = [item for item in response.output if item.type == "message"]
    details = response.incomplete_details or {}
    return ChatAnswer(
        text="".join(part.text or part.refusal for item in messages for part in item.content),
        status=response.status,
        usage=response.usage or ChatUsage(),
        error=response.error,
        reason=str(details.get("reason", "")),
    )


def answer_json(answer: ChatAnswer, session_id: str) -> dict[str, Any]:
    """Return the JSON body. `incomplete` has the reason if the answer is incomplete."""
    body: dict[str, Any] = {
        "response": answer.text,
        "session_id": session_id,
        "usage": {
            "prompt_tokens": answer.usage.input_tokens,
            "completion_tokens": answer.usage.output_tokens,
            "total_tokens": answer.usage.total_tokens,
        },
    }
    return body if answer.status == "completed" else {**body, "incomplete": answer.reason}
