"""ASGI in plain words: the protocol's types, reading a body within limits, answering JSON.

Source: the ASGI HTTP specification 2.5.
"""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import msgspec

from kernel.errors import BodyTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON_TYPE = (b"content-type", b"application/json")


class ClientLeft(Exception):  # noqa: N818 - not an error: a fact about the other side
    """The client closed the connection before it had the whole answer."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header; None if it is absent or, to be safe, sent more than once."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else None


async def read_body(scope: Scope, receive: Receive, *, limit: int) -> bytes:
    """The whole request body. Raises BodyTooLarge beyond `limit` bytes and ClientLeft."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared[:12]) > limit:
        raise BodyTooLarge(f"The request body is larger than {limit} bytes. Send less.")
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        return within(body, limit)
    parts: list[bytes] = []
    while message["type"] == "http.request":
        parts.append(message.get("body", b""))
        within(parts[-1], limit - sum(map(len, parts[:-1])))
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    raise ClientLeft


def within(body: bytes, limit: int) -> bytes:
    if len(body) > limit:
        raise BodyTooLarge
    return body


async def respond(
    send: Send,
    status: int,
    body: bytes,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Answer with a complete body."""
    length = (b"content-length", b"%d" % len(body))
    await send(
        {"type": "http.response.start", "status": status, "headers": [*headers, length]}
    )
    await send({"type": "http.response.body", "body": body})


async def respond_json(
    send: Send, status: int, value: object, *, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Answer with `value` as JSON."""
    await respond(send, status, msgspec.json.encode(value), headers=[JSON_TYPE, *headers])
