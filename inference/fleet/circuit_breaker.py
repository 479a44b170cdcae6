"""The circuit breaker of one endpoint, with ejection and recovery. No I/O.

Source: M. Nygard, "Release It!", Circuit Breaker; ejection times grow as in Envoy's outlier
detection.
"""

from typing import Literal

State = Literal["closed", "open", "half_open"]

MAX_OPEN_SECONDS = 300.0
RESET_AFTER_SECONDS = 300.0
"""Seconds without a failure after which the count of ejections starts again."""


class CircuitBreaker:
    """Closed: requests pass. Open: none passes. Half open: one request at a time is a trial."""

    __slots__ = ("_ejections", "_last_failure", "failures", "open_until", "trying")

    def __init__(self) -> None:
        self.failures = 0
        """Failures in a row."""
        self.open_until: float | None = None
        """End of the ejection, in seconds of the caller's clock; None while closed."""
        self.trying = False
        """Whether a trial request runs while half open."""
        self._ejections = 0
        self._last_failure = float("-inf")

    def state(self, now: float) -> State:
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half_open"

    def allows_request(self, now: float) -> bool:
        """Return whether a request may be sent to the endpoint."""
        if self.open_until is None:
            return True
        return now >= self.open_until and not self.trying

    def record_start(self, now: float) -> None:
        """Record that a request was sent."""
        if self.state(now) == "half_open":
            self.trying = True

    def record_first_token(self) -> None:
        """Close after a first token. The failures stay, so that the next failure ejects again."""
        self.trying = False
        self.open_until = None

    def record_success(self) -> None:
        """Record a complete response."""
        self.failures = 0
        self.record_first_token()

    def record_neutral(self) -> None:
        """Record a request that ended without a result about the endpoint."""
        self.trying = False

    def record_failure(
        self,
        now: float,
        *,
        after: int,
        seconds: float,
        may_open: bool,
        max_seconds: float = MAX_OPEN_SECONDS,
    ) -> bool:
        """Record a failure. True if it ejects the endpoint: after `after` in a row, or in a trial.

        The ejection lasts `seconds` times the number of recent ejections, at most `max_seconds`.
        With `may_open` False only a failed trial ejects, because too many others are ejected.
        """
        if self.state(now) == "open":
            # This request was sent before the ejection, which counts once for all of them.
            return False
        if now - self._last_failure > RESET_AFTER_SECONDS:
            self._ejections = 0
        self._last_failure = now
        self.failures += 1
        was_trial, self.trying = self.open_until is not None, False
        if not (was_trial or (self.failures >= after and may_open)):
            return False
        self._ejections += 1
        self.open_until = now + min(seconds * self._ejections, max_seconds)
        return True
