"""uvicorn's HTTP with one system call per answer: a head leaves together with what follows it."""

import asyncio
from asyncio.transports import BaseTransport
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = b"HTTP/1.1 "


class HttpProtocol(HttpToolsProtocol):
    """uvicorn writes the head of an answer and its body apart, and uvloop sends each at once.

    To send is the dearest thing that happens to a short answer, so once is better than twice.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        joined = JoinedHeads(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joined))

    def handle_websocket_upgrade(self) -> None:
        # Sockets have no heads.
        self.transport = cast("JoinedHeads", self.transport).bare
        super().handle_websocket_upgrade()


class JoinedHeads:
    """A transport that holds a head back until a body comes, or the event loop's turn ends."""

    __slots__ = ("_head", "_loop", "bare", "is_closing")

    def __init__(self, bare: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.bare = bare
        self.is_closing = bare.is_closing
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(HEAD):
            self._head = data
            self._loop.call_soon(self._send_head)
            return
        self.bare.write(data)

    def close(self) -> None:
        self._send_head()
        self.bare.close()

    def _send_head(self) -> None:
        """Nothing followed it at once."""
        head, self._head = self._head, b""
        if head and not self.bare.is_closing():
            self.bare.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)
