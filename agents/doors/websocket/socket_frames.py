"""What clients may say on a socket (CONTRACT §3), as types."""

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
    """Asks for a `pong`."""


class CancelResponse(msgspec.Struct, tag_field="type", tag="response.cancel"):
    response_id: Label


class ResumeResponse(msgspec.Struct, tag_field="type", tag="response.resume"):
    response_id: Label
    starting_after: Annotated[int, Meta(ge=-1, le=10**9)] = -1
    """The last event that the client has seen; -1 for none."""


class SubscribeConversation(msgspec.Struct, tag_field="type", tag="conversation.subscribe"):
    """Without `response_id`: the response that is being made, and those that follow."""

    conversation: Label
    response_id: Label | None = None
    """The last response of which the client has seen anything."""
    starting_after: Annotated[int, Meta(ge=-1, le=10**9)] = -1


class ResolveApproval(msgspec.Struct, tag_field="type", tag="approval.resolve"):
    """What a person said about a call that waits."""

    response_id: Label
    approval_id: Label
    approve: bool
    reason: Reason = ""


class CreateResponse(ResponseBody, tag_field="type", tag="response.create", kw_only=True):
    """Asks for a response. Those of one `stream_id` are made one after the other."""

    stream_id: Label | None = None


Frame = (
    Authenticate
    | Ping
    | CancelResponse
    | ResumeResponse
    | SubscribeConversation
    | ResolveApproval
    | CreateResponse
)
FRAMES: Final[dict[str, type[Frame]]] = {
    "auth": Authenticate,
    "ping": Ping,
    "conversation.subscribe": SubscribeConversation,
    "response.create": CreateResponse,
    "response.cancel": CancelResponse,
    "response.resume": ResumeResponse,
    "approval.resolve": ResolveApproval,
}


class Typed(msgspec.Struct):
    type: str


def parse_frame(text: str) -> Frame:
    """Raises InvalidJson, UnknownFrame, MissingParameter or InvalidParameter."""
    body = text.encode()
    frame = FRAMES.get(parse(body, Typed).type)
    if frame is None:
        raise UnknownFrame(param="type")
    return parse(body, frame)
