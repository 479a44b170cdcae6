"""A transport that sends the head of a response together with its first body bytes."""

import asyncio
from typing import Any

HEAD = b"HTTP/1.1 "


class JoinedHeads:
    """Delays a head until a body follows, or the current iteration of the event loop ends.

    uvicorn writes the head and the body of a response separately, and uvloop sends each at once. A
    system call is the largest cost of a short response, so one is better than two.
    """

    __slots__ = ("_ahead", "_head", "_loop", "bare", "is_closing")

    def __init__(self, bare: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.bare = bare
        self.is_closing = bare.is_closing
        self._loop = loop
        self._head = b""
        self._ahead = 0
        """The number of bytes of the next head that were sent already."""

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
        """Send the next byte of the head, so that a closed connection is detected."""
        if self._ahead < len(HEAD):
            self.bare.write(HEAD[self._ahead : self._ahead + 1])
            self._ahead += 1

    def close(self) -> None:
        self._send_head()
        self.bare.close()

    def end(self) -> None:
        """Send everything and close the sending side; the client's bytes are still received."""
        self._send_head()
        if self.bare.can_write_eof():
            self.bare.write_eof()

    def _send_head(self) -> None:
        """Send a head whose body has not followed at once."""
        head, self._head = self._head, b""
        if head and not self.bare.is_closing():
            self.bare.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bare, name)
