"""What clients may say on a socket (CONTRACT §3), as types."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from agents.errors import UnknownFrame
from inference.relay.parameters import (
    ChatMessage,
    ChatRequest,
    Probability,
    TextPart,
    Tokens,
    explain,
)
from kernel.errors import InvalidJson, InvalidParameter

LONGEST_FRAME = 1024 * 1024
Label = Annotated[str, Meta(min_length=1, max_length=128)]


class InputText(msgspec.Struct):
    text: str
    type: Literal["input_text", "output_text", "text"] = "input_text"


class InputMessage(msgspec.Struct):
    """One message of the input, in the manner of Open Responses."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[InputText], Meta(max_length=1000)]
    type: Literal["message"] = "message"


class Authenticate(msgspec.Struct, tag_field="type", tag="auth"):
    ticket: Annotated[str, Meta(max_length=200)]


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Asks for a `pong`."""


class CancelResponse(msgspec.Struct, tag_field="type", tag="response.cancel"):
    response_id: Label


class CreateResponse(msgspec.Struct, tag_field="type", tag="response.create", kw_only=True):
    """Asks for a response. State on the server does not exist yet and is refused, not ignored."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    input: str | Annotated[list[InputMessage], Meta(min_length=1, max_length=1000)]
    instructions: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Probability | None = None
    max_output_tokens: Tokens | None = None
    stream_id: Label | None = None
    client_id: Label | None = None
    previous_response_id: None = None
    conversation: None = None
    background: Literal[False] | None = None
    metadata: dict[str, Any] | None = None


Frame = Authenticate | Ping | CancelResponse | CreateResponse
TYPES = frozenset({"auth", "ping", "response.cancel", "response.create"})


class Typed(msgspec.Struct):
    type: str


def parse_frame(text: str) -> Frame:
    """Raises InvalidJson, UnknownFrame, MissingParameter or InvalidParameter."""
    try:
        kind = msgspec.json.decode(text, type=Typed).type
        if kind not in TYPES:
            raise UnknownFrame(param="type")
        frame: Frame = msgspec.json.decode(text, type=Frame)
    except msgspec.ValidationError as error:
        raise explain(error) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidJson from error
    return frame


def as_chat(frame: CreateResponse) -> ChatRequest:
    """The same request as engines understand it."""
    messages = (
        [ChatMessage(role="system", content=frame.instructions)] if frame.instructions else []
    )
    if isinstance(frame.input, str):
        messages.append(ChatMessage(role="user", content=frame.input))
    else:
        messages.extend(as_message(message) for message in frame.input)
    return ChatRequest(
        model=frame.model,
        messages=messages,
        stream=True,
        temperature=frame.temperature,
        top_p=frame.top_p,
        max_tokens=frame.max_output_tokens,
    )


def as_message(message: InputMessage) -> ChatMessage:
    if isinstance(message.content, str):
        return ChatMessage(role=message.role, content=message.content)
    if not message.content:
        raise InvalidParameter("A message has no content.", param="input")
    parts = [TextPart(text=part.text) for part in message.content]
    return ChatMessage(role=message.role, content=list(parts))
