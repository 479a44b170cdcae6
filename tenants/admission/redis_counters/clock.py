"""An estimate of Redis' clock, so that a wrong clock of this host has no effect."""

import time
from collections.abc import Callable


class RedisClock:
    """The monotonic clock plus a measured offset; before the first response, this host's clock."""

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def now(self) -> float:
        """Return the seconds since 1970."""
        return self._monotonic() + self._offset

    def learn(self, redis_us: int, *, sent: float, received: float) -> None:
        """Update the offset by a response.

        Redis' clock was `redis_us` between the monotonic times `sent` and `received`. An offset
        that is possible by these bounds is kept, because it may be from tighter ones.
        """
        redis_seconds = redis_us / 1_000_000
        if not redis_seconds - received <= self._offset <= redis_seconds - sent:
            self._offset = redis_seconds - (sent + received) / 2
