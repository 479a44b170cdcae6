"""A budget of retries in proportion to requests, which prevents retry storms."""

RETRIES_PER_REQUEST = 0.2
INITIAL_RETRIES = 3.0
"""Initial budget. The first requests add nothing until it is repaid."""
MAX_RETRIES = 20.0


class RetryBudget:
    """Each request adds a fraction of a retry; each retry takes one.

    In total there are at most INITIAL_RETRIES, or RETRIES_PER_REQUEST for each request.
    """

    def __init__(self) -> None:
        self._left = self._lent = INITIAL_RETRIES

    def add_request(self) -> None:
        """Count a request."""
        if self._lent > 0:
            self._lent -= RETRIES_PER_REQUEST
        else:
            self._left = min(MAX_RETRIES, self._left + RETRIES_PER_REQUEST)

    def take(self) -> bool:
        """Take one retry from the budget. Return False if it is exhausted."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
