"""Redis' clock as seen from here, so that a wrong clock of this machine changes nothing."""

import time
from collections.abc import Callable


class RedisClock:
    """The monotonic clock and a measured offset. Until the first answer, this machine's clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._offset = time.time() - monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return self._monotonic() + self._offset

    def learn(self, redis_us: int, *, sent: float, received: float) -> None:
        """Redis said `redis_us` between these two moments of the monotonic clock.

        An offset that agrees with that is kept: the next answer may come with less doubt.
        """
        said = redis_us / 1_000_000
        if not said - received <= self._offset <= said - sent:
            self._offset = said - (sent + received) / 2
