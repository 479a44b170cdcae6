"""uvicorn's WebSocket protocol with limits of the memory for a client that does not read."""

import asyncio
import socket
from asyncio.transports import BaseTransport
from typing import TYPE_CHECKING

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from config.client_limits import Place

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.frames import Frame


KERNEL_BYTES = 128 * 1024
"""The kernel's send buffer, of which Linux reserves twice as much. Without a limit it grows to
megabytes for a client that does not read.
"""
BUFFER_BYTES = 64 * 1024
"""Size of the process's send buffer. Senders wait while it is full."""
CLOSE_TIMEOUT_SECONDS = 5.0
"""Timeout for the client to read the close frame and to answer it."""
MAX_FRAGMENTS = 1024
"""The limit of fragments of a message, because empty ones do not count as bytes."""

MALFORMED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_BIG = 1009
NOT_UTF8 = 1007


class SocketProtocol(WebSocketsSansIOProtocol):
    """A socket that closes without waiting for the client, and disconnects it after a timeout."""

    transport: asyncio.Transport
    place: Place | None = None
    """The connection's share of the limit of its address."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(high=BUFFER_BYTES)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.place is not None:
            self.place.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # `websockets` does not respond to bytes that it cannot read.
            self.transport.write(MALFORMED)
            self.transport.close()

    async def send(self, message: "ASGISendEvent") -> None:
        """Raises ClientDisconnected also for a send that waited while the socket was closed."""
        if message["type"] == "websocket.close":
            # A sender that waited for the client continues, and finds the socket closed.
            self.writable.set()
        await self.writable.wait()
        if self.close_sent and message["type"] == "websocket.send":
            raise ClientDisconnected
        if self.close_sent:
            return  # closed already by another task
        await super().send(message)
        if message["type"] == "websocket.close":
            self.end_soon()

    def end_soon(self) -> None:
        """Drop the connection after a timeout, with all unsent data."""
        self.loop.call_later(CLOSE_TIMEOUT_SECONDS, self.transport.abort)

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.end_soon()

    def shutdown(self) -> None:
        super().shutdown()
        self.end_soon()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self.end_soon()

    def handle_close(self, event: "Frame") -> None:
        super().handle_close(event)
        self.end_soon()

    def handle_cont(self, event: "Frame") -> None:
        if len(self.frames) >= MAX_FRAGMENTS:
            self.hang_up(TOO_BIG)
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not is_utf8(self.frames):
            self.hang_up(NOT_UTF8)
            return
        super().send_receive_event_to_app()

    def hang_up(self, code: int) -> None:
        """Close the socket of a client that violates the protocol, but not for the parser."""
        self.frames = []
        if not self.close_sent:
            self.conn.fail(code)
            self.handle_parser_exception()


def is_utf8(parts: list[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True
