"""One connection to an engine: a request goes out, its answer comes in as it arrives.

HTTP/1.1 (RFC 9112) as a gateway speaks it to engines: the parser is httptools', in its strict mode;
transport and TLS are the event loop's. ADR 0015 says why no general client stands here.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import httptools

from inference.errors import UpstreamBroken
from kernel.errors import UpstreamError

MAX_BUFFERED_BYTES = 64 * 1024
"""Of an answer that were received and not read; beyond that its engine has to wait."""
MAX_BYTES_WITHOUT_BODY = 32 * 1024
"""Bytes without any of the answer's body: heads, informational answers, chunk extensions."""
HEADER_OVERHEAD = 32
"""Bytes that a header counts for beside its text, as in RFC 9113 §6.5.2."""
FINAL = 200
"""Lower statuses announce an answer, and are none."""
BODILESS = frozenset({204, 304})
NEVER = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where connections lead."""

    host: str
    port: int
    is_tls: bool


class Answer:
    """An engine's answer. Whoever got it must leave it."""

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

    def __init__(self, connection: "Connection", loop: asyncio.AbstractEventLoop) -> None:
        self._connection: Connection | None = connection
        self._loop = loop  # before Python 3.12, to ask which one runs is a system call
        self._parts: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None
        self._error: UpstreamError | None = None
        self.status = 0
        """0 until its head has come."""
        self.headers: dict[bytes, bytes] = {}
        """By name in small letters."""
        self.ended = False
        """Whether all of it has arrived."""
        self.is_stale = False
        """Whether a connection that had been used before was closed without a byte of it."""
        self.waiting_since = NEVER
        """The event loop's time from which on somebody waits for more."""
        self.waited = 0.0
        """Seconds that somebody waited before that."""

    @property
    def is_read(self) -> bool:
        """Whether it has been read to its end."""
        return self.ended and not self._parts

    async def read(self) -> bytes:
        """What of the body has arrived since the last call; empty at its end. Raises as `take`."""
        while (data := self.take()) is None:
            await self.change()
        return data

    def take(self) -> bytes | None:
        """What of the body has arrived since the last call; empty at its end, None if more of it
        has to be waited for.

        Raises UpstreamError without a head, UpstreamBroken after one, and what it failed with.
        """
        parts = self._parts
        if not parts:
            if self._error is not None:
                raise self._error
            return b"" if self.ended else None
        self._parts = []
        if self._connection is not None:
            self._connection.was_read()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def put_back(self, data: bytes) -> None:
        """Let `data`, all that was taken so far, be taken once more."""
        if data:
            self._parts.insert(0, data)

    def change(self) -> asyncio.Future[None]:
        """Done as soon as there may be more to take. One caller at a time waits for it."""
        self._waiting = waiting = self._loop.create_future()
        self.waiting_since = self._loop.time()
        return waiting

    def arrived(self, part: bytes) -> None:
        self._parts.append(part)

    def fail(self, error: UpstreamError) -> None:
        """Let whoever reads have this after what has arrived, unless all of it has."""
        if not self.ended and self._error is None:
            self._error = error
            self.wake()

    def wake(self) -> None:
        """Something has changed. Whoever waited may have left meanwhile."""
        waiting = self._waiting
        if waiting is None:
            return
        self._waiting = None
        self.waited += self._loop.time() - self.waiting_since
        self.waiting_since = NEVER
        if not waiting.done():
            waiting.set_result(None)

    def leave(self) -> None:
        """Nobody reads on. If it has not ended, its engine learns to stop. May be said again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave(self)


class Connection(asyncio.Protocol):
    """Carries one request at a time."""

    _transport: asyncio.Transport

    def __init__(
        self,
        *,
        origin: Origin,
        left: Callable[["Connection"], None],
        lost: Callable[["Connection"], None],
    ) -> None:
        """`left` hears when a request is over, whether the connection is still good or not; `lost`
        hears when it is closed.
        """
        self.origin = origin
        self.idle_since = 0.0
        """The event loop's time."""
        self._loop = asyncio.get_running_loop()
        self._left = left
        self._lost = lost
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._is_reused = False
        self._has_heard = False
        self._is_framed = False
        """Whether the answer says itself where it ends."""
        self._is_good = True
        self._is_paused = False
        self._unread = 0
        self._unheard = 0
        self._head = 0

    @property
    def is_good(self) -> bool:
        """Whether it can carry another request."""
        return self._is_good and not self._transport.is_closing()

    def ask(self, request: bytes) -> Answer:
        """Send a whole request. The answer is there at once, and arrives by and by."""
        self._answer = answer = Answer(self, self._loop)
        self._is_good = False  # until the answer has ended, and says that more may follow
        self._has_heard = False
        self._unheard = self._head = 0
        self._transport.write(request)
        return answer

    def leave(self, answer: Answer) -> None:
        if not (answer.ended and self.is_good):
            self.close()
        self.was_read()
        self._is_reused = True
        self._left(self)

    def was_read(self) -> None:
        """Nothing of the answer is buffered any more."""
        self._unread = 0
        if self._is_paused and not self._transport.is_closing():
            self._is_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        """At once: whoever is at the other end shall not go on."""
        self._is_good = False
        self._transport.abort()

    # What the event loop says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            self.close()  # an answer without a request
            return
        self._unheard += len(data)
        self._has_heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # a bug of ours, no fault of the engine
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break()
        if self._unheard > MAX_BYTES_WITHOUT_BODY or self._head > MAX_BYTES_WITHOUT_BODY:
            self._break()
        elif self._unread > MAX_BUFFERED_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        # Also after a failure: it may have ended before what is wrong.
        answer.wake()

    def _break(self) -> None:
        """What came is no answer, or no end of one."""
        self._give_up()
        self.close()

    def _give_up(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.is_stale = self._is_reused and not self._has_heard
            answer.fail(UpstreamBroken() if answer.status else UpstreamError())

    def connection_lost(self, error: Exception | None) -> None:
        answer = self._answer
        if error is None and answer is not None and answer.status and not self._is_framed:
            # RFC 9112 §6.3: without a length the answer ends with its connection.
            self._answer, answer.ended = None, True
            answer.wake()
        self._is_good = False
        self._give_up()
        self._lost(self)

    # What the parser says.

    def on_message_begin(self) -> None:
        self._is_good = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is not None and not self._answer.status:
            self._answer.headers[name.lower()] = value
            self._head += len(name) + len(value) + HEADER_OVERHEAD

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None:
            return
        status = self._parser.get_status_code()
        if status < FINAL:
            answer.headers.clear()
            return
        if self._head > MAX_BYTES_WITHOUT_BODY:
            self._give_up()
            return
        answer.status = status
        self._is_framed = (
            b"content-length" in answer.headers
            or b"transfer-encoding" in answer.headers
            or status in BODILESS
        )

    def on_body(self, body: bytes) -> None:
        self._unheard = 0
        if self._answer is not None:
            self._unread += len(body)
            self._answer.arrived(body)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and answer.status:
            self._answer, answer.ended = None, True
            self._is_good = self._parser.should_keep_alive()
