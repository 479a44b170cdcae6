"""What goes out on one socket: a frame at a time, so that little waits for a client to read."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from kernel.asgi import ClientLeft

Write = Callable[[str], Awaitable[None]]


class Outbox:
    """All that tell a socket something take turns: only one frame is ever under way.

    What is still to be told is not kept here. It stays in the runs' logs, once for all readers.
    """

    __slots__ = ("_since", "_turn", "_write")

    def __init__(self, write: Write) -> None:
        self._write = write
        self._turn = asyncio.Lock()
        self._since: float | None = None

    async def send(self, frames: Sequence[bytes]) -> None:
        """Send JSON, frame by frame. Waits while the client does not read. Raises ClientLeft."""
        clock = asyncio.get_running_loop().time
        for frame in frames:
            async with self._turn:
                self._since = clock()
                try:
                    await self._write(frame.decode())
                except OSError as error:
                    # What a server raises for a send to somebody who is gone (ASGI,
                    # "Disconnected Client").
                    raise ClientLeft from error
                finally:
                    self._since = None

    def has_waited(self, *, now: float) -> float:
        """For how many seconds the client has not taken the frame that is under way."""
        return 0.0 if self._since is None else now - self._since
