"""Types of ASGI, reading of bodies within limits, and JSON responses.

Source: the ASGI HTTP specification 2.5.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from types import TracebackType
from typing import Any, Self

from kernel.errors import BodyTooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

LISTEN_AFTER_SECONDS = 0.05
JSON_TYPE = (b"content-type", b"application/json")


class ClientLeft(Exception):
    """The client closed the connection before it had the whole response."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the value of a header; None if it is absent or, to be safe, sent more than once."""
    found = None
    for key, value in scope["headers"]:
        if key == name:
            if found is not None:
                return None
            found = value
    return found


async def read_body(scope: Scope, receive: Receive, *, limit: int) -> bytes:
    """Return the whole request body. Raises BodyTooLarge beyond `limit` bytes and ClientLeft."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared[:12]) > limit:
        raise BodyTooLarge(f"The request body is larger than {limit} bytes. Send less.")
    message = await receive()
    if not message.get("more_body", False) and message["type"] == "http.request":
        body: bytes = message.get("body", b"")
        return within(body, limit)
    parts: list[bytes] = []
    room = limit
    while message["type"] == "http.request":
        parts.append(within(message.get("body", b""), room))
        room -= len(parts[-1])
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
    """Respond with a complete body."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def refuse_socket(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a WebSocket before it is accepted, which clients see as HTTP 403."""
    await send({"type": "websocket.close"})


class ClientWatch:
    """Raises ClientLeft inside the block as soon as the client closes the connection."""

    __slots__ = ("_cancelling", "_left", "_listener", "_receive", "_start", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._left = False
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None, "a request runs in a task"
        self._task = task
        self._cancelling = task.cancelling()
        # Most responses are sent before this: a timer costs a tenth of a task.
        self._start = task.get_loop().call_later(LISTEN_AFTER_SECONDS, self._begin)
        return self

    def _begin(self) -> None:
        self._listener = self._task.get_loop().create_task(self._listen())

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self.give_up()

    def give_up(self) -> None:
        """End the block with ClientLeft: the client left, or it no longer reads."""
        self._left = True
        self._task.cancel()

    def dismiss(self) -> None:
        """Stop watching: the response is complete."""
        self._start.cancel()
        if self._listener is not None:
            self._listener.cancel()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.dismiss()
        if not self._left:
            return
        # The cancellation by this object ends here and leaves no mark on the task. A cancellation
        # by other code, which may have come as well, continues.
        if self._task.uncancel() > self._cancelling:
            return
        if kind is asyncio.CancelledError:
            raise ClientLeft from None
        # It came after the last await of the block: raise it here, not in later code.
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
