"""The events of one run as this process knows them, for any number of readers."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence

from agents.events.event import Event
from kernel.errors import InvalidParameter, PlatformError

MAX_EVENTS_PER_READ = 500


class EventBuffer:
    """Grows at its end; an event's number is its place. Readers never hold up the writer."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.readers = 0
        self.is_loaded = True
        """Whether what was told before is here. Then nobody has seen more than this."""
        self._waiters: list[asyncio.Future[None]] = []
        self._failure: PlatformError | None = None

    @property
    def is_over(self) -> bool:
        return bool(self.events) and self.events[-1].is_last

    def add(self, events: Iterable[Event]) -> None:
        """Events in order. What comes after the last one, or twice, is left out."""
        for event in events:
            if event.number == len(self.events) and not self.is_over:
                self.events.append(event)
        self._wake()

    def loaded(self) -> None:
        """What was told before is here now."""
        self.is_loaded = True
        self._wake()

    def fail(self, error: PlatformError) -> None:
        """There will be no more, and no end either: readers get `error`."""
        self._failure = error
        self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def read(self, *, after: int = -1) -> AsyncGenerator[Sequence[Event]]:
        """Events beyond number `after`, as they come, up to the last one.

        Raises NotResumable if the log is lost in between, and InvalidParameter beyond it.
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
