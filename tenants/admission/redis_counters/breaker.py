"""When to stop asking a dependency that does not answer, and when to try again."""

import time
from collections.abc import Callable

FAILURES = 3
LASTING_SECONDS = 0.5
"""From the first failure to the one that opens it: a hiccup is no outage."""
SAME_SECONDS = 0.05
"""Failures so close together are one: what hung, hung for all of them."""
OPEN_SECONDS = 1.0


class Breaker:
    """Opens after 3 failures in a row that span half a second. While it is open, a probe may be
    sent once a second; its outcome decides.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        """In a row."""
        self._first_at = 0.0
        self._last_at = 0.0
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
        self._failures = 0

    def note_failure(self) -> None:
        now = self._clock()
        self._count(now)
        lasts = self._failures >= FAILURES and now - self._first_at >= LASTING_SECONDS
        if self.is_open or lasts:
            self._opened_at = now if self._opened_at is None else self._opened_at
            self._closes_at = now + OPEN_SECONDS

    def _count(self, now: float) -> None:
        if not self._failures:
            self._first_at = now
        elif now - self._last_at < SAME_SECONDS:
            return
        self._failures += 1
        self._last_at = now
