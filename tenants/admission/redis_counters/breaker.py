"""A circuit breaker for calls to Redis."""

import time
from collections.abc import Callable

MIN_FAILURES = 3
MIN_FAILING_SECONDS = 0.5
"""Minimum time between the first failure and the one that opens the breaker."""
SAME_FAILURE_SECONDS = 0.05
"""Failures within this time count as one, because they have the same cause."""
OPEN_SECONDS = 1.0


class RedisBreaker:
    """Opens after 3 consecutive failures within at least half a second.

    While it is open, one probe per second may be sent; a successful one closes it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        """Number of consecutive failures."""
        self._first_at = 0.0
        self._last_at = 0.0
        self._opened_at: float | None = None
        self._closes_at: float | None = None
        """Time of the next probe; None while the breaker is closed."""

    @property
    def is_open(self) -> bool:
        return self._closes_at is not None

    def open_for(self) -> float:
        """Return the seconds since the breaker opened; 0 while it is closed."""
        return 0.0 if self._opened_at is None else self._clock() - self._opened_at

    def may_pass(self) -> bool:
        """Return whether a call may be sent. While open, one caller per second may: the probe."""
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
        lasts = self._failures >= MIN_FAILURES and now - self._first_at >= MIN_FAILING_SECONDS
        if self.is_open or lasts:
            self._opened_at = now if self._opened_at is None else self._opened_at
            self._closes_at = now + OPEN_SECONDS

    def _count(self, now: float) -> None:
        if not self._failures:
            self._first_at = now
        elif now - self._last_at < SAME_FAILURE_SECONDS:
            return
        self._failures += 1
        self._last_at = now
