"""How many sockets each tenant has open in this worker: none may take the room of all others."""

from collections import Counter

from agents.errors import TooManySockets


class OpenSockets:
    """Counts sockets from their authentication to their end; a tenant has `most` at once."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._open: Counter[int] = Counter()

    def enter(self, tenant_id: int) -> None:
        """One more. Raises TooManySockets, and then it does not count."""
        if self._open[tenant_id] >= self._most:
            raise TooManySockets
        self._open[tenant_id] += 1

    def leave(self, tenant_id: int) -> None:
        """One less that had entered."""
        self._open[tenant_id] -= 1
        if not self._open[tenant_id]:
            del self._open[tenant_id]
