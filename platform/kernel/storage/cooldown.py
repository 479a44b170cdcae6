"""A pause after a failure, in which a server is not called."""

import math
import time
from collections.abc import Callable


class Cooldown:
    """Tracks the pause. Callers do not use the server while it is active."""

    __slots__ = ("_clock", "_ends_at", "_seconds")

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ends_at = -math.inf

    @property
    def is_active(self) -> bool:
        return self._clock() < self._ends_at

    def start(self) -> None:
        """Start the pause, or restart it."""
        self._ends_at = self._clock() + self._seconds
