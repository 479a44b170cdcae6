"""Route of one request through pools and endpoints, recorded for the ledger."""

import time
from collections.abc import Callable
from typing import Any

from inference.fleet.endpoint_state import CandidateSet, EndpointState, ExcludedEndpoints
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Pool
from inference.relay.slot import PoolSlot
from kernel.errors import PlatformError

MAX_CANDIDATES = 10
"""Number of candidates and of excluded endpoints that are recorded for a choice."""

TakeSlot = Callable[[], PoolSlot | None]


class RouteTrace:
    """The facts of one request for routing, and the endpoints it was sent to, in order."""

    __slots__ = (
        "_attempts_before",
        "_candidates",
        "_hedge_slot",
        "_home",
        "_retries",
        "_started",
        "_visited",
        "context",
        "fallbacks",
        "hedged",
        "pool",
        "slot",
        "take_slot",
        "tenant_id",
        "tokens",
        "waited",
        "weight",
    )

    def __init__(
        self,
        pool: Pool,
        *,
        fallbacks: tuple[Pool, ...] = (),
        tenant_id: int = 0,
        weight: int = 1,
        tokens: int = 0,
        affinity_key: bytes = b"",
        prefix: bytes = b"",
    ) -> None:
        """`tokens` is the expected number of prompt and completion tokens."""
        self.pool = pool
        self._home = pool
        self.fallbacks = fallbacks
        """Pools to try next, in order."""
        self.tenant_id = tenant_id
        self.weight = weight
        self.tokens = tokens
        self.context = PickContext(affinity_key=affinity_key, prefix=prefix)
        self.slot: PoolSlot | None = None
        """Slot of the pool, set by the dispatcher."""
        self.take_slot: TakeSlot | None = None
        """Takes a second slot for a hedge, set by the dispatcher; None if slots are not limited."""
        self._hedge_slot: PoolSlot | None = None
        self.waited = 0.0
        """Seconds spent in the queues of pools."""
        self.hedged = False
        self._attempts_before = 0
        """Attempts in earlier pools of the route."""
        self._visited: list[str] = []
        self._retries: list[dict[str, Any]] = []
        self._candidates: list[dict[str, Any]] = []
        self._started = time.monotonic()

    def record_choice(
        self, candidate: EndpointState, field: CandidateSet, excluded: ExcludedEndpoints = ()
    ) -> None:
        """Record the chosen endpoint, the candidates, and the excluded endpoints with reasons."""
        if not self.attempts and len(field) + len(excluded) > 1:
            considered = [
                {"endpoint": each.endpoint.id, "in_flight": each.in_flight + each.elsewhere}
                for each in field.candidates[:MAX_CANDIDATES]
            ]
            others = [{"endpoint": name, "why_not": why} for name, why in excluded]
            self._candidates = [*considered, *others[:MAX_CANDIDATES]]
        self._visited.append(candidate.endpoint.id)

    def record_failure(self, candidate: EndpointState, error: PlatformError) -> None:
        """Record a failed attempt after which the request is sent to another endpoint."""
        after = (time.monotonic() - self._started) * 1000
        self._retries.append(
            {"endpoint": candidate.endpoint.id, "error": error.code, "after_ms": round(after, 1)}
        )

    @property
    def visited(self) -> list[str]:
        return self._visited

    @property
    def endpoint(self) -> str:
        """Id of the last endpoint; empty before the first attempt."""
        return self._visited[-1] if self._visited else ""

    @property
    def attempts(self) -> int:
        """Number of attempts in the current pool."""
        return len(self._visited) - self._attempts_before

    def next_fallback(self) -> bool:
        """Switch to the next pool. Return False if there is none."""
        if not self.fallbacks:
            return False
        self.pool, *rest = self.fallbacks
        self.fallbacks = tuple(rest)
        self._attempts_before = len(self._visited)
        if self.slot is not None:
            # The response of another pool is not charged to this one's queue.
            self.slot.used(prompt_tokens=0, completion_tokens=0)
            self.slot = None
        return True

    def start_hedge(self) -> bool:
        """Take a slot for a concurrent second attempt. Return False if the pool has none left."""
        if self.take_slot is None:
            return True
        self._hedge_slot = self.take_slot()
        return self._hedge_slot is not None

    def end_hedge(self) -> None:
        """Release the slot of the second attempt; the remaining one holds the first slot."""
        if self._hedge_slot is not None:
            self._hedge_slot.used(prompt_tokens=0, completion_tokens=0)
            self._hedge_slot = None

    def decision(self) -> dict[str, Any]:
        """Return the facts to store; empty if a single endpoint responded at the first attempt."""
        facts: dict[str, Any] = {}
        if self._candidates or self._retries:
            facts = {"strategy": self.pool.strategy, "chosen": list(self._visited)}
        if self._candidates:
            facts["candidates"] = self._candidates
        if self._retries:
            facts["retries"] = self._retries
        if self.waited:
            facts["waited_ms"] = round(self.waited * 1000, 1)
        if self.hedged:
            facts["hedged"] = True
        if self.pool is not self._home and self.pool.name != self._home.name:
            facts["fallback"] = self.pool.name
        return facts
