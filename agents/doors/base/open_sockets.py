"""The number of open sockets per tenant in this worker, which has a limit."""

from collections import Counter

from agents.errors import TooManySockets


class OpenSockets:
    """Counts sockets from their authentication to their end."""

    def __init__(self, *, max_per_tenant: int) -> None:
        self._max_per_tenant = max_per_tenant
        self._open: Counter[int] = Counter()

    def enter(self, tenant_id: int) -> None:
        """Count one more socket. Raises TooManySockets, and does not count it then."""
        if self._open[tenant_id] >= self._max_per_tenant:
            raise TooManySockets
        self._open[tenant_id] += 1

    def leave(self, tenant_id: int) -> None:
        """Count one socket less."""
        self._open[tenant_id] -= 1
        if not self._open[tenant_id]:
            del self._open[tenant_id]

    def total(self) -> int:
        """Return the number of open sockets of all tenants."""
        return self._open.total()
