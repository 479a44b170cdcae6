"""The breaker of one endpoint: when it is left out, and how it comes back. Pure but for its state.

Source: M. Nygard, "Release It!", Circuit Breaker; ejection times grow as in Envoy's outlier
detection.
"""

from typing import Literal

State = Literal["closed", "open", "half_open"]

MAX_OPEN_SECONDS = 300.0
FORGIVEN_AFTER_SECONDS = 300.0
"""Without a failure, after which an endpoint is ejected as briefly as the first time."""


class Breaker:
    """Closed: requests pass. Open: none does, until a time. Half open: one at a time tries."""

    __slots__ = ("_ejections", "_last_failure", "failures", "open_until", "trying")

    def __init__(self) -> None:
        self.failures = 0
        """In a row."""
        self.open_until: float | None = None
        """Seconds of the clock that callers use; None while it is closed."""
        self.trying = False
        """Half open, and a request is finding out."""
        self._ejections = 0
        self._last_failure = float("-inf")

    def state(self, now: float) -> State:
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half_open"

    def passes(self, now: float) -> bool:
        """Whether a request may be sent."""
        if self.open_until is None:
            return True
        return now >= self.open_until and not self.trying

    def began(self, now: float) -> None:
        """A request is sent."""
        if self.state(now) == "half_open":
            self.trying = True

    def passed(self) -> None:
        """The endpoint has begun to answer: others may try as well, and one failure ejects it."""
        self.trying = False
        self.open_until = None

    def succeeded(self) -> None:
        """The endpoint answered as it should."""
        self.failures = 0
        self.passed()

    def gave_up(self) -> None:
        """A request ended without saying anything about the endpoint."""
        self.trying = False

    def failed(
        self,
        now: float,
        *,
        after: int,
        seconds: float,
        may_open: bool,
        longest: float = MAX_OPEN_SECONDS,
    ) -> bool:
        """The endpoint failed. True if that ejects it: after so many in a row, or in its trial.

        It is left out for `seconds`, times how often that happened lately, and for `longest` at
        most. With `may_open` False it stays in, because too many others are out.
        """
        if self.state(now) == "open":
            # A request from before: many that break at once are one reason to leave it out.
            return False
        if now - self._last_failure > FORGIVEN_AFTER_SECONDS:
            self._ejections = 0
        self._last_failure = now
        self.failures += 1
        was_trial, self.trying = self.open_until is not None, False
        if not (was_trial or (self.failures >= after and may_open)):
            return False
        self._ejections += 1
        self.open_until = now + min(seconds * self._ejections, longest)
        return True
