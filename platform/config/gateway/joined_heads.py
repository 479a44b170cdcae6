"""A transport that sends the head of an answer together with what follows it."""

import asyncio
from typing import Any

HEAD = b"HTTP/1.1 "


class JoinedHeads:
    """Holds a head back until a body comes, or the event loop's turn ends.

    uvicorn writes the head of an answer and its body apart, and uvloop sends each at once. To send
    is the dearest thing that happens to a short answer, so once is better than twice.
    """

    __slots__ = ("_ahead", "_head", "_loop", "bare", "is_closing")

    def __init__(self, bare: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.bare = bare
        self.is_closing = bare.is_closing
        self._loop = loop
        self._head = b""
        self._ahead = 0
        """Bytes of the next head that were sent already."""

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(HEAD):
            self._head = data[self._ahead :]
            self._ahead = 0
            self._loop.call_soon(self._send_head)
            return
        self.bare.write(data)

    def send_ahead(self) -> None:
        """Send one byte more of what every head begins with, so that a closed client shows."""
        if self._ahead < len(HEAD):
            self.bare.write(HEAD[self._ahead : self._ahead + 1])
            self._ahead += 1

    def close(self) -> None:
        self._send_head()
        self.bare.close()

    def end(self) -> None:
        """Send what is there and say that no more follows; what the client sends still comes."""
        self._send_head()
        if self.bare.can_write_eof():
            self.bare.write_eof()

    def _send_head(self) -> None:
        """Nothing followed it at once."""
        head, self._head = self._head, b""
        if head and not self.bare.is_closing():
            self.bare.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)
