"""Calls every running exchange at intervals, instead of one timer per token."""

import asyncio
from typing import Protocol

TICK_SECONDS = 0.25


class Watched(Protocol):
    """An object with timeouts to check."""

    def tick(self, now: float) -> None:
        """`now` is the event loop's time in seconds. Must not block or raise."""


class Watchdog:
    """Calls `tick` of its members until they leave."""

    def __init__(self) -> None:
        self._members: set[Watched] = set()

    def join(self, member: Watched) -> None:
        self._members.add(member)

    def leave(self, member: Watched) -> None:
        self._members.discard(member)

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = loop.time()
            for member in tuple(self._members):
                member.tick(now)
