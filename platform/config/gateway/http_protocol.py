"""uvicorn's HTTP protocol with limits, and with one system call per response."""

import asyncio
from asyncio.transports import BaseTransport
from typing import Any, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from agents.doors.base.rendering import error_object
from config import client_limits
from config.client_limits import Place, clients_of, is_body_late
from config.gateway.half_closed import HalfClosed
from config.gateway.joined_heads import JoinedHeads
from kernel.errors import PlatformError

PIECE_BYTES = 16 * 1024
"""Data is parsed in pieces of this size, so that header bytes are counted before the body."""
LINGER_SECONDS = 2.0
"""Time in which the bytes of a refused client are discarded. If the connection was closed at once,
the client would see a reset instead of the response.
"""


class HttpProtocol(HttpToolsProtocol):
    """Refuses requests that are too large or too slow before the application sees them."""

    _place: Place | None = None
    _refused = False
    _upgraded = False
    _is_idle = True
    """Whether no byte of the next request has come."""
    _in_body = False
    """Whether the head of a request is complete, and its body is not."""
    _other_bytes = 0
    """The number of bytes since the last body piece, or since the end of the last request."""
    _body_bytes = 0
    _head_since: float | None = None
    _body_since: float | None = None
    _body_at = 0.0
    """Time of the last body piece, recorded only for requests that need more than one read."""

    def connection_made(self, transport: BaseTransport) -> None:
        joined = JoinedHeads(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joined))
        self._joined = joined
        self._half_closed = HalfClosed(self, joined)
        clients = clients_of(self.server_state)
        clients.watch(self.loop)
        self._head_since = self.loop.time()
        self._is_idle = False
        try:
            self._place = clients.take_place(self.client)
        except client_limits.TooManyConnections as error:
            self.refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._half_closed.stop()
        self._head_since = self._body_since = None
        if self._place is not None:
            self._place.leave()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn always closes
        """Keep the connection of a client that has sent its requests and waits for responses."""
        if self._refused or not self.is_whole:
            return False
        return self._half_closed.begin()

    @property
    def is_whole(self) -> bool:
        """Whether all received requests are complete."""
        return self._is_idle and self.cycle is not None

    # Received bytes are counted.

    def data_received(self, data: bytes) -> None:
        if self._refused or self._upgraded:
            return
        if len(data) > PIECE_BYTES:
            self._receive_pieces(data)
            return
        self._is_idle = False
        self._other_bytes += len(data)
        HttpToolsProtocol.data_received(self, data)
        if self._is_idle:  # most requests come in one read
            self._head_since = None
        else:
            self._note_part()

    def _receive_pieces(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            if not self.transport.is_closing():
                self.data_received(data[start : start + PIECE_BYTES])

    def _note_part(self) -> None:
        """Record the time of an incomplete request."""
        if self._other_bytes > client_limits.MAX_HEAD_BYTES:
            self.refuse(client_limits.HeadTooLarge())
        elif self._in_body:
            self._note_body()
        elif self._head_since is None:
            self._head_since = self.loop.time()

    def _note_body(self) -> None:
        now = self.loop.time()
        self._head_since = None
        if self._body_since is None:
            self._body_since = self._body_at = now
        elif not self._other_bytes:
            self._body_at = now

    def _are_too_large(self) -> bool:
        """Return whether the headers are too large, or too many."""
        overhead = client_limits.HEADER_OVERHEAD_BYTES * len(self.headers)
        # The count lacks only the end of a piece in which another message ended.
        if self._other_bytes + PIECE_BYTES + overhead <= client_limits.MAX_HEAD_BYTES:
            return False
        size = sum(len(name) + len(value) for name, value in self.headers)
        return len(self.url) + size + overhead > client_limits.MAX_HEAD_BYTES

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        if self._are_too_large():
            self.refuse(client_limits.HeadTooLarge())
            return
        HttpToolsProtocol.on_headers_complete(self)
        self._in_body = True
        self._body_since = None
        self._body_bytes = 0
        if not self.parser.should_upgrade():
            # The application has its headers already; trailers are not added.
            self.headers, self.url = [], b""

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._other_bytes = 0
        self._body_bytes += len(body)
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        if self.headers and self._are_too_large():  # trailers
            self.refuse(client_limits.HeadTooLarge())
        if self._refused:
            return
        self._is_idle = True
        self._in_body = False
        self._body_since = None
        self._other_bytes = 0
        HttpToolsProtocol.on_message_complete(self)

    def check_time(self, now: float) -> None:
        """Refuse a request that takes too long to arrive."""
        if self._refused:
            return
        if self._body_since is not None:
            self._check_body(self._body_since, now)
            return
        late = (
            self._head_since is not None
            and now - self._head_since > client_limits.HEAD_TIMEOUT_SECONDS
        )
        if late and not self._is_busy:
            self._end_late_head()

    def _check_body(self, since: float, now: float) -> None:
        if self.flow.read_paused:  # the application is slow, not the client
            self._body_since, self._body_at = since + client_limits.SWEEP_SECONDS, now
            return
        silent = now - self._body_at
        if is_body_late(seconds=now - since, silent=silent, received=self._body_bytes):
            self.refuse(client_limits.RequestTooSlow())

    def _end_late_head(self) -> None:
        if self._other_bytes:
            self.refuse(client_limits.RequestTooSlow())
        else:
            self.transport.close()  # the client has requested nothing

    # A refusal is sent unless another response is under way.

    def send_400_response(self, msg: str) -> None:
        self.refuse(client_limits.MalformedRequest())

    @property
    def _is_busy(self) -> bool:
        """Whether a response to a complete request is due."""
        return bool(self.pipeline) or not (self.cycle is None or self.cycle.response_complete)

    def refuse(self, error: PlatformError) -> None:
        """Respond with `error` unless another response is under way, and close the connection."""
        if self._refused:
            return
        self._refused = True
        may_answer = self._has_no_answer if self._in_body else not self._is_busy
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.pipeline.clear()
        self._unset_keepalive_if_required()
        if not may_answer or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write(self._refusal(error))
        self._joined.end()
        self.flow.resume_reading()
        self.loop.call_later(LINGER_SECONDS, self._joined.bare.abort)

    @property
    def _has_no_answer(self) -> bool:
        """Whether no byte of the response to the latest request was sent."""
        return not self.pipeline and self.cycle is not None and not self.cycle.response_started

    def _refusal(self, error: PlatformError) -> bytes:
        body = msgspec.json.encode(error_object(error))
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *error.headers(),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"%b%b\r\n%b" % (STATUS_LINE[error.status], lines, body)

    # WebSockets

    def handle_websocket_upgrade(self) -> None:
        if self._refused:
            return
        if not fits_socket(self.url, self.headers):
            self.refuse(client_limits.HeadTooLarge())
            return
        self._upgraded = True
        # Sockets have no heads to join.
        self.transport = cast("JoinedHeads", self.transport).bare
        super().handle_websocket_upgrade()
        protocol: Any = self.transport.get_protocol()
        protocol.place, self._place = self._place, None


def fits_socket(url: bytes, headers: list[tuple[bytes, bytes]]) -> bool:
    """Return whether `websockets` accepts a request with these headers."""
    lines = [len(url), *(len(name) + len(value) for name, value in headers)]
    room = client_limits.MAX_SOCKET_HEADER_BYTES - client_limits.HEADER_OVERHEAD_BYTES
    return len(headers) <= client_limits.MAX_SOCKET_HEADERS and max(lines) <= room
