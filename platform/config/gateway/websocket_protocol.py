"""uvicorn's sockets with an end for everybody: a client that does not read keeps nothing here."""

import asyncio
import socket
from asyncio.transports import BaseTransport
from typing import TYPE_CHECKING

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from config.gateway.client_limits import Place

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.frames import Frame


KERNEL_BYTES = 128 * 1024
"""For what was sent and not yet taken; Linux reserves twice as much. By itself it would grow to
megabytes for a client that reads nothing.
"""
BUFFER_BYTES = 64 * 1024
"""Of our own beyond that, and one more frame: then whoever sends waits."""
LAST_WORDS_SECONDS = 5.0
"""For a client to read why it was closed, and to answer."""
MAX_FRAGMENTS = 1024
"""Of one message. Their bytes are limited elsewhere; empty ones are not."""

MALFORMED = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
TOO_BIG = 1009
NOT_UTF8 = 1007


class SocketProtocol(WebSocketsSansIOProtocol):
    """Closing never waits for the client, and what is closed is gone a few seconds later."""

    transport: asyncio.Transport
    place: Place | None = None
    """What it takes of its address' connections."""

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
            # `websockets` answers nothing to what it cannot read, and waits for the client to go.
            self.transport.write(MALFORMED)
            self.transport.close()

    async def send(self, message: "ASGISendEvent") -> None:
        """Raises ClientDisconnected also for what waited while the socket was closed."""
        if message["type"] == "websocket.close":
            # Whoever waits for the client wakes up as well, and finds the socket closed.
            self.writable.set()
        await self.writable.wait()
        if self.close_sent and message["type"] == "websocket.send":
            raise ClientDisconnected
        if self.close_sent:
            return  # closed already, by somebody else
        await super().send(message)
        if message["type"] == "websocket.close":
            self.end_soon()

    def end_soon(self) -> None:
        """What the client has not read by then is dropped."""
        self.loop.call_later(LAST_WORDS_SECONDS, self.transport.abort)

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
        """The client broke the protocol in a way that the parser does not look at."""
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
