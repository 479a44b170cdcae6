"""Sends an event stream to a client, with keep-alive comments and a timeout for slow clients."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Protocol, Self

from agents.doors.base.rendering import error_event
from inference.relay.watchdog import Watchdog
from kernel.asgi import ClientWatch, Headers, Send
from kernel.errors import PlatformError

KEEP_ALIVE_SECONDS = 8.0
"""A comment is sent after this silence: at least every ten seconds (protocols.md, "Streams")."""
STALL_TIMEOUT_SECONDS = 60.0
COMMENT = b": keep-alive\n\n"
STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class StreamedCall(Protocol):
    """The call that a stream answers."""

    send: Send
    status: int

    @property
    def headers(self) -> Headers:
        """The headers of every response."""

    @property
    def watch(self) -> Watchdog:
        """Checks open streams periodically."""


class EventSink:
    """Sends events. The first event or keep-alive comment commits the status.

    Use it as a context manager. An error after the first byte is sent as the last event of the
    stream; an error before it still determines the status.
    """

    def __init__(self, call: StreamedCall, *, client: ClientWatch) -> None:
        self._call = call
        self._send = call.send
        self._watch = call.watch
        self._client = client
        self._last_progress_at = asyncio.get_running_loop().time()
        """Time of the last check with progress: a clock reading per token would cost too much."""
        self._has_progress = False
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
        """Send the last events and end the response. From here on the client may leave."""
        self._client.dismiss()
        await self._write(block, more=False)

    async def _write(self, block: bytes, *, more: bool) -> None:
        if self._comment is not None:
            await asyncio.wait({self._comment})
        self._is_sending = self._has_progress = True
        if not self.started:
            await self._start()
        await self._send({"type": "http.response.body", "body": block, "more_body": more})
        self._is_sending = False
        self._has_progress = True

    async def _start(self) -> None:
        self.started = True
        self._call.status = 200
        headers = [*STREAM_HEADERS, *self._call.headers]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    def tick(self, now: float) -> None:
        """Send a keep-alive comment if needed, and give up on a client that does not read."""
        if self._has_progress:
            self._has_progress = False
            self._last_progress_at = now
        silence = now - self._last_progress_at
        is_busy = self._is_sending or self._comment is not None
        if is_busy and silence > STALL_TIMEOUT_SECONDS:
            self._client.give_up()
        elif not is_busy and silence > KEEP_ALIVE_SECONDS:
            self._comment = asyncio.create_task(self._send_keep_alive())

    async def _send_keep_alive(self) -> None:
        """Send a comment. `_write` waits for this task, so that nothing else is sent meanwhile."""
        if not self.started:
            await self._start()
        await self._send({"type": "http.response.body", "body": COMMENT, "more_body": True})
        self._has_progress = True
        self._comment = None


class StreamObserver(Protocol):
    """Receives a copy of what is sent."""

    def part(self, block: bytes) -> None:
        """Called with events before they are sent."""

    async def ended(self) -> None:
        """Called before the last events are sent. They are sent when it returns."""


class TeeSink(EventSink):
    """An EventSink that copies everything to an observer. Other streams have no cost for it."""

    def __init__(
        self, call: StreamedCall, *, client: ClientWatch, observer: StreamObserver
    ) -> None:
        super().__init__(call, client=client)
        self._observer = observer

    def send(self, block: bytes) -> Coroutine[Any, Any, None]:
        self._observer.part(block)
        return super().send(block)

    async def end(self, block: bytes = b"") -> None:
        self._observer.part(block)
        await self._observer.ended()
        await super().end(block)
