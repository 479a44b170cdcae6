"""How long to wait before something that ended is started again."""

from dataclasses import dataclass

FIRST_SECONDS = 0.5
MAX_SECONDS = 30.0
STABLE_SECONDS = 60.0
"""What ran for so long has not failed at its start."""


@dataclass(slots=True)
class Backoff:
    """Of one thing. Each pause is twice the last one, until it has run for a while."""

    failures: int = 0

    def pause(self, *, lived: float) -> float:
        """Seconds to wait now that it has ended after `lived` seconds."""
        self.failures = 1 if lived >= STABLE_SECONDS else self.failures + 1
        doubled: float = FIRST_SECONDS * 2 ** min(self.failures - 1, 10)
        return min(doubled, MAX_SECONDS)
