"""Messages to agents and topics: sent once, delivered as runs, and waited for on request."""

import re
import time
from typing import TypeVar

from agents.doors.base.call import Call
from agents.doors.http.messages.body import (
    MAX_MESSAGE_BYTES,
    MessageBody,
    TopicMessageBody,
    as_new_message,
)
from agents.doors.http.messages.rendering import message_object, replied_object
from inference.relay.schema import parse
from kernel.asgi import ClientWatch
from kernel.errors import BodyTooLarge, NotFound

MESSAGE_ID = re.compile(r"msg_[0-9a-f]{30}")
Body = TypeVar("Body", bound=TopicMessageBody)


async def send_message(call: Call) -> None:
    """Send a message to one agent, and respond with it, or with the reply."""
    principal = await call.authenticate("chat")
    body = await read_body(call, MessageBody)
    new = as_new_message(body, agent=path_argument(call, "agent"))
    sent = await call.gateway.messages.send(principal, new)
    if body.wait:
        await respond_with_reply(call, principal.tenant_id, sent.record.id, body.timeout_seconds)
    else:
        await call.respond_json(message_object(sent.record), status=202 if sent.is_new else 200)


async def respond_with_reply(call: Call, tenant_id: int, message: str, seconds: int) -> None:
    """Wait for the reply. A client that leaves ends the wait, and not the run."""
    waiting_since, call.upstream_seconds = time.monotonic(), None
    async with ClientWatch(call.receive):
        reply = await call.gateway.messages.wait(tenant_id, message=message, seconds=seconds)
    call.upstream_seconds = time.monotonic() - waiting_since
    await call.respond_json(replied_object(reply))


async def publish_message(call: Call) -> None:
    """Send a message to the subscribers of a topic, and respond with the result of each."""
    principal = await call.authenticate("chat")
    body = await read_body(call, TopicMessageBody)
    new = as_new_message(body, topic=path_argument(call, "topic"))
    sent = await call.gateway.messages.send(principal, new)
    await call.respond_json(message_object(sent.record), status=202 if sent.is_new else 200)


async def show_message(call: Call) -> None:
    """Respond with a message and the state of each delivery."""
    principal = await call.authenticate("chat")
    message_id = path_argument(call, "message")
    if not MESSAGE_ID.fullmatch(message_id):
        raise NotFound("There is no such message here.", param="message_id")
    record = await call.gateway.messages.load(principal.tenant_id, message=message_id)
    await call.respond_json(message_object(record))


def path_argument(call: Call, name: str) -> str:
    value: str = call.scope["url_route"]["kwargs"][name]
    return value


async def read_body(call: Call, kind: type[Body]) -> Body:
    """Raises BodyTooLarge, InvalidJson, and InvalidParameter."""
    body = await call.body()
    if len(body) > MAX_MESSAGE_BYTES:
        raise BodyTooLarge(f"This request has at most {MAX_MESSAGE_BYTES} bytes. Send less.")
    return parse(body, kind)
