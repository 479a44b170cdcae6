"""The bodies of `POST /v1/agents/{agent}/messages` and `POST /v1/topics/{topic}/messages`."""

from typing import Annotated

import msgspec
from msgspec import Meta

from agents.doors.http.create_response import Label, Metadata
from agents.schema.routing.messages import (
    DEFAULT_REPLY_SECONDS,
    MAX_REPLY_SECONDS,
    NewMessage,
)

NAME = "messages"
MAX_MESSAGE_BYTES = 256 * 1024
"""Of the whole body. The content has a maximum of its own, but JSON may escape every character."""


class TopicMessageBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A message to the subscribers of a topic."""

    content: str
    message_id: Label | None = None
    correlation_id: Label | None = None
    metadata: Metadata | None = None


class MessageBody(TopicMessageBody, kw_only=True, forbid_unknown_fields=True):
    """A message to one agent, whose reply the client may wait for."""

    wait: bool = False
    timeout_seconds: Annotated[int, Meta(ge=1, le=MAX_REPLY_SECONDS)] = DEFAULT_REPLY_SECONDS


def as_new_message(body: TopicMessageBody, *, agent: str = "", topic: str = "") -> NewMessage:
    return NewMessage(
        agent=agent,
        topic=topic,
        content=body.content,
        correlation_id=body.correlation_id or "",
        message_id=body.message_id or "",
        metadata=body.metadata or {},
    )
