"""Looks after everything that runs now and then, instead of arming a timer per token."""

import asyncio
from typing import Protocol

SECONDS_BETWEEN_LOOKS = 0.25


class Watched(Protocol):
    """Something that may have to be told that time has passed."""

    def look(self, now: float) -> None:
        """`now` is the event loop's time in seconds. Must not block or raise."""


class Watchdog:
    """The members are looked at until they leave."""

    def __init__(self) -> None:
        self._members: set[Watched] = set()

    def join(self, member: Watched) -> None:
        self._members.add(member)

    def leave(self, member: Watched) -> None:
        self._members.discard(member)

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
            now = loop.time()
            for member in tuple(self._members):
                member.look(now)
