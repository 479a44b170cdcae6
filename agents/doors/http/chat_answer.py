"""A run's events as the simplest door tells them: pieces of text, and what it came to."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from agents.events.event import Event

DELTAS = {b"response.output_text.delta", b"response.refusal.delta"}


class Delta(msgspec.Struct):
    delta: str


class Used(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0


class Part(msgspec.Struct):
    text: str = ""
    refusal: str = ""


class OutputItem(msgspec.Struct):
    type: str
    role: str = ""
    content: list[Part] = []


class Response(msgspec.Struct):
    """What we read of a response object."""

    status: str
    output: list[OutputItem] = []
    usage: Used | None = None
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None


class LastFrame(msgspec.Struct):
    response: Response


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended."""

    text: str
    status: str
    usage: Used
    error: dict[str, Any] | None = None
    reason: str = ""


async def chat_events(
    follow: AsyncGenerator[Sequence[Event]],
) -> AsyncGenerator[str | ChatAnswer]:
    """What the agent says, as it comes; the last piece is the answer as a whole."""
    async with aclosing(follow):
        async for events in follow:
            text = "".join(
                msgspec.json.decode(event.data, type=Delta).delta
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
    said = [item for item in response.output if item.type == "message"]
    details = response.incomplete_details or {}
    return ChatAnswer(
        text="".join(part.text or part.refusal for item in said for part in item.content),
        status=response.status,
        usage=response.usage or Used(),
        error=response.error,
        reason=str(details.get("reason", "")),
    )


def answer_of(answer: ChatAnswer, session_id: str) -> dict[str, Any]:
    """The body; `incomplete` says why an answer is not whole, and is left out if it is."""
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
