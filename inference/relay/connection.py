"""One HTTP/1.1 connection to an engine (RFC 9112), with streamed responses.

The parser is httptools in its strict mode; transport and TLS are the event loop's. ADR 0015
explains why no general HTTP client is used.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools

from inference.errors import UpstreamBroken
from kernel.errors import UpstreamError

MAX_BUFFERED_BYTES = 64 * 1024
"""Bytes of a response that are buffered before reading from the socket is paused."""
MAX_BYTES_WITHOUT_BODY = 32 * 1024
"""Bytes that may arrive without any body: heads, informational responses, chunk extensions."""
HEADER_OVERHEAD_BYTES = 32
"""Bytes added to the size of each header, as in RFC 9113 §6.5.2."""
MIN_FINAL_STATUS = 200
"""Lowest status of a final response; lower ones are informational."""
BODILESS_STATUSES = frozenset({204, 304})
NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Host, port and scheme of a server, the key of the connection pool."""

    host: str
    port: int
    is_tls: bool


class EngineResponse:
    """A response of an engine. Its user must call `release`."""

    __slots__ = (
        "_connection",
        "_error",
        "_loop",
        "_parts",
        "_waiting",
        "ended",
        "headers",
        "is_stale",
        "status",
        "waited",
        "waiting_since",
    )

    def __init__(self, connection: "EngineConnection", loop: asyncio.AbstractEventLoop) -> None:
        self._connection: EngineConnection | None = connection
        self._loop = loop  # before Python 3.12, get_running_loop is a system call
        self._parts: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._error: UpstreamError | None = None
        self.status = 0
        """HTTP status; 0 until the head has arrived."""
        self.headers: dict[bytes, bytes] = {}
        """Header values by name in lower case."""
        self.ended = False
        """Whether the response has arrived completely."""
        self.is_stale = False
        """Whether a reused connection was closed before the first byte of the response."""
        self.waiting_since = NEVER
        """Start of the current wait for data, in the event loop's time; NEVER if none."""
        self.waited = 0.0
        """Seconds of all earlier waits for data."""

    @property
    def is_read(self) -> bool:
        """Whether the response has been read to its end."""
        return self.ended and not self._parts

    async def read(self) -> bytes:
        """Return the bytes received since the last call; empty at the end. Raises as `take`."""
        while (data := self.take()) is None:
            await self.next_change()
        return data

    def take(self) -> bytes | None:
        """Return the bytes received since the last call without waiting; empty at the end of the
        body, None if nothing new has arrived.

        Raises the error given to `fail`; UpstreamError for a connection that broke before the head
        arrived, UpstreamBroken after it.
        """
        parts = self._parts
        if not parts:
            if self._error is not None:
                raise self._error
            return b"" if self.ended else None
        self._parts = []
        if self._connection is not None:
            self._connection.mark_read()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def put_back(self, data: bytes) -> None:
        """Put `data`, all that was read so far, back to be read again."""
        if data:
            self._parts.insert(0, data)

    def next_change(self) -> asyncio.Future[None]:
        """Return a future that is done when there may be more to take. One caller may wait."""
        self._waiting = waiting = self._loop.create_future()
        self.waiting_since = self._loop.time()
        return waiting

    def append(self, part: bytes) -> None:
        self._parts.append(part)

    def fail(self, error: UpstreamError) -> None:
        """Raise `error` to the reader after the data received so far, unless it is complete."""
        if not self.ended and self._error is None:
            self._error = error
            self.wake()

    def wake(self) -> None:
        """Wake the waiting reader. Its wait may have been cancelled meanwhile."""
        waiting = self._waiting
        if waiting is None:
            return
        self._waiting = None
        self.waited += self._loop.time() - self.waiting_since
        self.waiting_since = NEVER
        if not waiting.done():
            waiting.set_result(None)

    def release(self) -> None:
        """Release the connection; close it if the response has not ended. May be called again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release(self)


class EngineConnection(asyncio.Protocol):
    """Carries one request at a time."""

    _transport: asyncio.Transport

    def __init__(
        self,
        *,
        origin: Origin,
        on_release: Callable[["EngineConnection"], None],
        on_close: Callable[["EngineConnection"], None],
    ) -> None:
        """`on_release` is called after each request, `on_close` when the connection is closed."""
        self.origin = origin
        self.idle_since = 0.0
        """Time of the last release, in the event loop's time."""
        self._loop = asyncio.get_running_loop()
        self._on_release = on_release
        self._on_close = on_close
        self._parser = httptools.HttpResponseParser(self)
        self._answer: EngineResponse | None = None
        self._is_reused = False
        self._has_received = False
        self._is_framed = False
        """Whether the response declares its end, by its length or by chunks."""
        self._is_good = True
        self._is_paused = False
        self._unread = 0
        self._bytes_without_body = 0
        self._head = 0

    @property
    def is_good(self) -> bool:
        """Whether the connection can be reused."""
        return self._is_good and not self._transport.is_closing()

    def send(self, request: bytes) -> EngineResponse:
        """Send a complete request. The response is returned at once, and filled as data arrives."""
        self._answer = answer = EngineResponse(self, self._loop)
        self._is_good = False  # until the response has ended and allows keep-alive
        self._has_received = False
        self._bytes_without_body = self._head = 0
        self._transport.write(request)
        return answer

    def release(self, answer: EngineResponse) -> None:
        if not (answer.ended and self.is_good):
            self.close()
        self.mark_read()
        self._is_reused = True
        self._on_release(self)

    def mark_read(self) -> None:
        """Reset the count of buffered bytes, and resume reading from the socket."""
        self._unread = 0
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """Close at once, discarding unsent data, so that the engine stops working."""
        self._is_good = False
        self._transport.abort()

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.close()  # a response without a request
            return
        self._bytes_without_body += len(data)
        self._has_received = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a bug of this class, not an error of the engine
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break()
        if self._bytes_without_body > MAX_BYTES_WITHOUT_BODY or self._head > MAX_BYTES_WITHOUT_BODY:
            self._break()
        elif self._unread > MAX_BUFFERED_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        # Also after a failure: the response may have ended before the invalid bytes.
        answer.wake()

    def _break(self) -> None:
        """Fail the response and close the connection: the received bytes are invalid."""
        self._give_up()
        self.close()

    def _give_up(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.is_stale = self._is_reused and not self._has_received
            answer.fail(UpstreamBroken() if answer.status else UpstreamError())

    def connection_lost(self, error: Exception | None) -> None:
        answer = self._answer
        if error is None and answer is not None and answer.status and not self._is_framed:
            # RFC 9112 §6.3: without a length the response ends with its connection.
            self._answer, answer.ended = None, True
            answer.wake()
        self._is_good = False
        self._give_up()
        self._on_close(self)

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        self._is_good = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is not None and not self._answer.status:
            self._answer.headers[name.lower()] = value
            self._head += len(name) + len(value) + HEADER_OVERHEAD_BYTES

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None:
            return
        status = self._parser.get_status_code()
        if status < MIN_FINAL_STATUS:
            answer.headers.clear()
            return
        if self._head > MAX_BYTES_WITHOUT_BODY:
            self._give_up()
            return
        answer.status = status
        self._is_framed = (
            b"content-length" in answer.headers
            or b"transfer-encoding" in answer.headers
            or status in BODILESS_STATUSES
        )

    def on_body(self, body: bytes) -> None:
        self._bytes_without_body = 0
        if self._answer is not None:
            self._unread += len(body)
            self._answer.append(body)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and answer.status:
            self._answer, answer.ended = None, True
            self._is_good = self._parser.should_keep_alive()
