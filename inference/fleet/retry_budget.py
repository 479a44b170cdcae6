"""How much may be tried again: a share of what is asked, so that retries never make a storm."""

SHARE = 0.2
"""Retries per request."""
FLOOR = 3.0
"""Retries that are there before anything is asked, and lent: the first requests add nothing."""
MAX_RETRIES = 20.0


class RetryBudget:
    """Every request adds a part of a retry; every retry takes a whole one.

    However long it goes on, there are at most FLOOR retries, or SHARE for each request.
    """

    def __init__(self) -> None:
        self._left = self._lent = FLOOR

    def asked(self) -> None:
        """A request comes."""
        if self._lent > 0:
            self._lent -= SHARE
        else:
            self._left = min(MAX_RETRIES, self._left + SHARE)

    def take(self) -> bool:
        """Whether one more retry is allowed."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
