"""Exponential backoff between restarts."""

from dataclasses import dataclass

FIRST_SECONDS = 0.5
MAX_SECONDS = 30.0
STABLE_SECONDS = 60.0
"""After this runtime an end does not count as a failed start."""


@dataclass(slots=True)
class Backoff:
    """The pauses between starts of a process. Each is twice the last, until it runs stably."""

    failures: int = 0

    def pause(self, *, lived: float) -> float:
        """Return the seconds to wait after the process ended with a runtime of `lived` seconds."""
        self.failures = 1 if lived >= STABLE_SECONDS else self.failures + 1
        doubled: float = FIRST_SECONDS * 2 ** min(self.failures - 1, 10)
        return min(doubled, MAX_SECONDS)
