"""Where one request went, noted as it goes: what the ledger keeps to explain it."""

from typing import Any

from inference.fleet.snapshot import Endpoint, Pool
from inference.relay.turn import Turn


class Journey:
    """The endpoints that one request was sent to, in order, and for whom."""

    __slots__ = ("_visited", "pool", "tenant_id", "tokens", "turn", "waited", "weight")

    def __init__(self, pool: Pool, *, tenant_id: int = 0, weight: int = 1, tokens: int = 0) -> None:
        """`tokens`: of the prompt and of the answer, as expected."""
        self.pool = pool
        self.tenant_id = tenant_id
        self.weight = weight
        self.tokens = tokens
        self.turn: Turn | None = None
        """Its place among what the pool works on; from the dispatcher."""
        self.waited = 0.0
        """Seconds in the pool's queue."""
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
        """What is worth keeping: nothing, where the first endpoint answered at once."""
        kept: dict[str, Any] = {}
        if len(self._visited) > 1:
            kept |= {"strategy": "least_requests", "unreachable": self._visited[:-1]}
        if self.waited:
            kept["waited_ms"] = round(self.waited * 1000, 1)
        return kept
