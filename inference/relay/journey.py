"""Where one request went, noted as it goes: what the ledger keeps to explain it."""

from typing import Any

from inference.fleet.snapshot import Endpoint, Pool


class Journey:
    """The endpoints that one request was sent to, in order."""

    __slots__ = ("_visited", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self._visited: list[str] = []

    def visit(self, endpoint: Endpoint) -> None:
        """The request is being sent there."""
        self._visited.append(endpoint.id)

    def has_visited(self, endpoint: Endpoint) -> bool:
        return endpoint.id in self._visited

    @property
    def attempts(self) -> int:
        return len(self._visited)

    @property
    def endpoint(self) -> str:
        """The last one's id; empty if the request was sent nowhere."""
        return self._visited[-1] if self._visited else ""

    def decision(self) -> dict[str, Any]:
        """What is worth keeping: nothing, where the first endpoint answered."""
        if len(self._visited) <= 1:
            return {}
        return {"strategy": "least_requests", "unreachable": self._visited[:-1]}
