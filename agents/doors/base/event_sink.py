"""The client's end of an event stream: started late, never silent for long, cut when it stalls."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Protocol, Self

from agents.doors.base.rendering import error_event
from inference.relay.watchdog import Watchdog
from kernel.asgi import ClientWatch, Headers, Send
from kernel.errors import PlatformError

SILENCE_SECONDS = 8.0
"""Looked at now and then, so that a comment is sent at least every ten seconds (CONTRACT §2)."""
STALLED_SECONDS = 60.0
COMMENT = b": keep-alive\n\n"
STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class Answering(Protocol):
    """What a stream must know of the call that it answers."""

    send: Send
    status: int

    @property
    def headers(self) -> Headers:
        """What every answer carries."""

    @property
    def watch(self) -> Watchdog:
        """Looks at streams now and then."""


class EventSink:
    """Sends events. The status is committed by the first event, or by the first silence.

    Watched over inside its block, which tells a failure that comes after the first byte as the
    stream's last event; before that, the failure still chooses the status.
    """

    def __init__(self, call: Answering, *, client: ClientWatch) -> None:
        self._call = call
        self._send = call.send
        self._watch = call.watch
        self._client = client
        self._quiet_since = asyncio.get_running_loop().time()
        """As of the last check: reading the clock with each token would cost too much."""
        self._has_moved = False
        self._comment: asyncio.Task[None] | None = None
        self._is_sending = False
        self.started = False

    async def __aenter__(self) -> Self:
        self._watch.join(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if isinstance(error, PlatformError) and self.started:
                await self.end(error_event(error))
        finally:
            self._watch.leave(self)

    def send(self, block: bytes) -> Coroutine[Any, Any, None]:
        """Send complete events. Waits while the client does not read."""
        return self._write(block, more=True)  # one coroutine less with each token

    async def end(self, block: bytes = b"") -> None:
        """Send the last events and end the answer. From here on the client may leave."""
        self._client.dismiss()
        await self._write(block, more=False)

    async def _write(self, block: bytes, *, more: bool) -> None:
        if self._comment is not None:
            await asyncio.wait({self._comment})
        self._is_sending = self._has_moved = True
        if not self.started:
            await self._start()
        await self._send({"type": "http.response.body", "body": block, "more_body": more})
        self._is_sending = False
        self._has_moved = True

    async def _start(self) -> None:
        self.started = True
        self._call.status = 200
        headers = [*STREAM_HEADERS, *self._call.headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def look(self, now: float) -> None:
        """Break a silence, and give up on a client that has not read for a minute."""
        if self._has_moved:
            self._has_moved = False
            self._quiet_since = now
        silence = now - self._quiet_since
        is_busy = self._is_sending or self._comment is not None
        if is_busy and silence > STALLED_SECONDS:
            self._client.give_up()
        elif not is_busy and silence > SILENCE_SECONDS:
            self._comment = asyncio.create_task(self._say_something())

    async def _say_something(self) -> None:
        """Nobody else sends meanwhile: `_write` waits for this task."""
        if not self.started:
            await self._start()
        await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
        self._has_moved = True
        self._comment = None


class Listener(Protocol):
    """Somebody who wants to hear what is sent."""

    def part(self, block: bytes) -> None:
        """This is sent next."""

    async def ended(self) -> None:
        """What was the last part is sent when this returns."""


class TeeSink(EventSink):
    """The client's end of a stream to which somebody listens. Others pay nothing for it."""

    def __init__(self, call: Answering, *, client: ClientWatch, listener: Listener) -> None:
        super().__init__(call, client=client)
        self._listener = listener

    def send(self, block: bytes) -> Coroutine[Any, Any, None]:
        self._listener.part(block)
        return super().send(block)

    async def end(self, block: bytes = b"") -> None:
        self._listener.part(block)
        await self._listener.ended()
        await super().end(block)
