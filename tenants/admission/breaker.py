"""When to stop asking a dependency that does not answer, and when to try again."""

import time
from collections import deque
from collections.abc import Callable

FAILURES = 5
WITHIN_SECONDS = 10.0
OPEN_SECONDS = 1.0


class Breaker:
    """Opens after 5 failures in 10 s. After 1 s one question may pass; its outcome decides."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._opened_at: float | None = None
        self._closes_at: float | None = None
        """When the next probe may go; None while everything may."""

    @property
    def is_open(self) -> bool:
        return self._closes_at is not None

    def open_for(self) -> float:
        """Seconds since it opened; 0 while it is closed."""
        return 0.0 if self._opened_at is None else self._clock() - self._opened_at

    def may_pass(self) -> bool:
        """Whether to ask now. While open, a yes is given to one caller per second: the probe."""
        if self._closes_at is None:
            return True
        now = self._clock()
        if now < self._closes_at:
            return False
        self._closes_at = now + OPEN_SECONDS
        return True

    def note_success(self) -> None:
        self._opened_at = None
        self._closes_at = None
        self._failures.clear()

    def note_failure(self) -> None:
        now = self._clock()
        self._failures.append(now)
        often = len(self._failures) == FAILURES and now - self._failures[0] <= WITHIN_SECONDS
        if self.is_open or often:
            self._opened_at = now if self._opened_at is None else self._opened_at
            self._closes_at = now + OPEN_SECONDS
