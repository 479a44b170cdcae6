"""The types of the frames that clients may send on a socket (protocols.md, "Socket")."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from agents.doors.base.decisions import Reason
from agents.doors.http.create_response import Label, ResponseBody
from agents.errors import UnknownFrame
from inference.relay.schema import parse

MAX_FRAME_BYTES = 1024 * 1024


class Authenticate(msgspec.Struct, tag_field="type", tag="auth"):
    ticket: Annotated[str, Meta(max_length=200)]


class Ping(msgspec.Struct, tag_field="type", tag="ping"):
    """Requests a `pong`."""


class CancelResponse(msgspec.Struct, tag_field="type", tag="response.cancel"):
    response_id: Label


class ResumeResponse(msgspec.Struct, tag_field="type", tag="response.resume"):
    response_id: Label
    starting_after: Annotated[int, Meta(ge=-1, le=10**9)] = -1
    """Sequence number of the last event that the client has received. -1: none."""


class SubscribeConversation(msgspec.Struct, tag_field="type", tag="conversation.subscribe"):
    """Subscribes to the response in progress and later ones, or to those after `response_id`."""

    conversation: Label
    response_id: Label | None = None
    """The last response of which the client has received an event."""
    starting_after: Annotated[int, Meta(ge=-1, le=10**9)] = -1


class SubscribeTopic(msgspec.Struct, tag_field="type", tag="topic.subscribe"):
    """Subscribes to the messages of a topic: to new ones, or to those after a message."""

    topic: Label
    after: Label | None = None
    """The id of the last message that the client has received."""


class ResolveApproval(msgspec.Struct, tag_field="type", tag="approval.resolve"):
    """Approves or denies a tool call."""

    response_id: Label
    approval_id: Label
    approve: bool
    reason: Reason = ""


class CreateResponse(ResponseBody, tag_field="type", tag="response.create", kw_only=True):
    """Requests a response. Responses of one `stream_id` are created one after the other."""

    stream_id: Label | None = None


Frame = (
    Authenticate
    | Ping
    | CancelResponse
    | ResumeResponse
    | SubscribeConversation
    | SubscribeTopic
    | ResolveApproval
    | CreateResponse
)
FRAMES: Final[dict[str, type[Frame]]] = {
    "auth": Authenticate,
    "ping": Ping,
    "conversation.subscribe": SubscribeConversation,
    "topic.subscribe": SubscribeTopic,
    "response.create": CreateResponse,
    "response.cancel": CancelResponse,
    "response.resume": ResumeResponse,
    "approval.resolve": ResolveApproval,
}


class TypedFrame(msgspec.Struct):
    type: str


def parse_frame(text: str) -> Frame:
    """Raises InvalidJson, UnknownFrame, MissingParameter or InvalidParameter."""
    body = text.encode()
    frame = FRAMES.get(parse(body, TypedFrame).type)
    if frame is None:
        raise UnknownFrame(param="type")
    return parse(body, frame)
