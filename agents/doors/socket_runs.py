"""The runs of one socket: one at a time, in the order in which they were asked for."""

import asyncio
from collections import deque
from typing import Protocol

from agents.errors import TooManyRuns
from kernel.errors import NotFound

MOST_WAITING = 16


class Run(Protocol):
    """Something that was asked for on a socket."""

    id: str

    def cancel(self) -> None:
        """Stop it now, or before it starts."""

    async def execute(self) -> None:
        """Run to the end."""


class SocketRuns:
    """Runs what is enqueued until it is stopped."""

    def __init__(self) -> None:
        self._waiting: deque[Run] = deque()
        self._arrived = asyncio.Event()
        self._current: Run | None = None

    def enqueue(self, run: Run) -> None:
        """Raises TooManyRuns."""
        if len(self._waiting) >= MOST_WAITING:
            raise TooManyRuns(retry_after=1)
        self._waiting.append(run)
        self._arrived.set()

    def cancel(self, response_id: str) -> None:
        """Stop a run, or let it end as soon as it starts. Raises NotFound if there is none."""
        for run in (self._current, *self._waiting):
            if run is not None and run.id == response_id:
                run.cancel()
                return
        raise NotFound("There is no such response on this socket, or it has ended.")

    async def work(self) -> None:
        """Run one after the other. Cancelling this means that the client is gone."""
        while True:
            await self._arrived.wait()
            while self._waiting:
                self._current = self._waiting.popleft()
                await self._current.execute()
                self._current = None
            self._arrived.clear()
