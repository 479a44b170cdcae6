"""The events of one run in the memory of this process, for any number of readers."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence

from agents.events.event import Event
from kernel.errors import InvalidParameter, PlatformError

MAX_EVENTS_PER_READ = 500


class EventBuffer:
    """Append-only: an event's number is its index. Readers never delay the writer."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.readers = 0
        self.position: bytes | None = None
        """The id of the last entry of the log in Redis that the buffer has; None for no entry."""
        self.is_loaded = True
        """Whether the buffer has all earlier events, so that no reader has received others."""
        self._waiters: list[asyncio.Future[None]] = []
        self._failure: PlatformError | None = None

    @property
    def is_over(self) -> bool:
        return bool(self.events) and self.events[-1].is_last

    def add(self, events: Iterable[Event]) -> None:
        """Append events in order. Duplicates, and events after the last one, are ignored."""
        for event in events:
            if event.number == len(self.events) and not self.is_over:
                self.events.append(event)
        self._wake()

    def loaded(self) -> None:
        """Mark the earlier events as complete."""
        self.is_loaded = True
        self._wake()

    def fail(self, error: PlatformError) -> None:
        """End all readers with `error`, because no event will follow."""
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def read(self, *, after: int = -1) -> AsyncGenerator[Sequence[Event]]:
        """Yield events after number `after`, as they arrive, up to the last one.

        Raises NotResumable if the log is lost meanwhile, and InvalidParameter beyond its end.
        """
        place = after + 1
        self.readers += 1
        try:
            while not self.is_loaded and self._failure is None:
                await self._grown()
            if place > len(self.events) and self._failure is None:
                raise InvalidParameter(
                    "This response has no such event yet.", param="starting_after"
                )
            while True:
                events = self.events[place : place + MAX_EVENTS_PER_READ]
                if events:
                    place += len(events)
                    yield events
                elif self.is_over:
                    return
                elif self._failure is not None:
                    raise self._failure
                else:
                    await self._grown()
        finally:
            self.readers -= 1

    async def _grown(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter
