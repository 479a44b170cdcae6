"""Sends the frames of one socket one at a time, so that little is buffered for a slow client."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from kernel.asgi import ClientLeft

Write = Callable[[str], Awaitable[None]]


class Outbox:
    """Serializes the senders of a socket: at most one frame is being sent.

    It has no queue. Events that are not sent yet stay in the logs of the runs, once for all
    readers.
    """

    __slots__ = ("_lock", "_send_started_at", "_write")

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lock = asyncio.Lock()
        self._send_started_at: float | None = None

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send JSON frames in order. Waits while the client does not read. Raises ClientLeft."""
        clock = asyncio.get_running_loop().time
        for frame in frames:
            async with self._lock:
                self._send_started_at = clock()
                try:
                    await self._write(frame.decode())
                except OSError as error:
                    # A server raises this for a send to a client that has left (ASGI, "Disconnected
                    # Client").
                    raise ClientLeft from error
                finally:
                    self._send_started_at = None

    def pending_send_seconds(self, *, now: float) -> float:
        """Return seconds since the current frame was handed to the server. 0.0 if there is none."""
        return 0.0 if self._send_started_at is None else now - self._send_started_at
