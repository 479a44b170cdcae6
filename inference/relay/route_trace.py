"""Where one request went, noted as it goes: what the ledger keeps to explain it."""

import time
from collections.abc import Callable
from typing import Any

from inference.fleet.endpoint_state import CandidateSet, EndpointState, LeftOut
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Pool
from inference.relay.slot import PoolSlot
from kernel.errors import PlatformError

MAX_CANDIDATES = 10
"""That are kept to explain a choice."""

TakeTurn = Callable[[], PoolSlot | None]


class RouteTrace:
    """The endpoints that one request was sent to, in order, and for whom."""

    __slots__ = (
        "_before",
        "_candidates",
        "_hedge_turn",
        "_home",
        "_retries",
        "_started",
        "_visited",
        "context",
        "fallbacks",
        "hedged",
        "pool",
        "take_turn",
        "tenant_id",
        "tokens",
        "turn",
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
        affinity: bytes = b"",
        prefix: bytes = b"",
    ) -> None:
        """`tokens`: of the prompt and of the answer, as expected."""
        self.pool = pool
        self._home = pool
        self.fallbacks = fallbacks
        """Pools that are tried when this one cannot."""
        self.tenant_id = tenant_id
        self.weight = weight
        self.tokens = tokens
        self.context = PickContext(affinity=affinity, prefix=prefix)
        self.turn: PoolSlot | None = None
        """Its place among what the pool works on; from the dispatcher."""
        self.take_turn: TakeTurn | None = None
        """A second place in the pool, if it has one to spare; without it there is always room."""
        self._hedge_turn: PoolSlot | None = None
        self.waited = 0.0
        """Seconds in the queues of pools."""
        self.hedged = False
        self._before = 0
        """Attempts in the pools that it has left."""
        self._visited: list[str] = []
        self._retries: list[dict[str, Any]] = []
        self._candidates: list[dict[str, Any]] = []
        self._started = time.monotonic()

    def record_choice(
        self, candidate: EndpointState, field: CandidateSet, left_out: LeftOut = ()
    ) -> None:
        """The request is being sent there; these were the candidates, and those that were none."""
        if not self.attempts and len(field) + len(left_out) > 1:
            looked_at = [
                {"endpoint": each.endpoint.id, "in_flight": each.in_flight + each.elsewhere}
                for each in field.candidates[:MAX_CANDIDATES]
            ]
            others = [{"endpoint": name, "why_not": why} for name, why in left_out]
            self._candidates = [*looked_at, *others[:MAX_CANDIDATES]]
        self._visited.append(candidate.endpoint.id)

    def failed(self, candidate: EndpointState, error: PlatformError) -> None:
        """It was in vain there, and the request goes on to somebody else."""
        after = (time.monotonic() - self._started) * 1000
        self._retries.append(
            {"endpoint": candidate.endpoint.id, "error": error.code, "after_ms": round(after, 1)}
        )

    @property
    def visited(self) -> list[str]:
        return self._visited

    @property
    def endpoint(self) -> str:
        """The last one's id; empty if the request was sent nowhere."""
        return self._visited[-1] if self._visited else ""

    @property
    def attempts(self) -> int:
        """In the pool in which it is."""
        return len(self._visited) - self._before

    def won(self, candidate: EndpointState) -> None:
        """Of two that were asked this one answered."""
        self._visited.append(candidate.endpoint.id)

    def next_fallback(self) -> bool:
        """Go on in the next pool. False if there is none."""
        if not self.fallbacks:
            return False
        self.pool, *rest = self.fallbacks
        self.fallbacks = tuple(rest)
        self._before = len(self._visited)
        if self.turn is not None:
            # What another pool answers is no service of this one.
            self.turn.used(prompt_tokens=0, completion_tokens=0)
            self.turn = None
        return True

    def begin_hedge(self) -> bool:
        """Take a place for a second attempt at the same time. False if the pool has none left."""
        if self.take_turn is None:
            return True
        self._hedge_turn = self.take_turn()
        return self._hedge_turn is not None

    def end_hedge(self) -> None:
        """One of the two is left, and has the first place."""
        if self._hedge_turn is not None:
            self._hedge_turn.used(prompt_tokens=0, completion_tokens=0)
            self._hedge_turn = None

    def decision(self) -> dict[str, Any]:
        """What is worth keeping: nothing, where a lone endpoint answered at once."""
        kept: dict[str, Any] = {}
        if self._candidates or self._retries:
            kept = {"strategy": self.pool.strategy, "chosen": list(self._visited)}
        if self._candidates:
            kept["candidates"] = self._candidates
        if self._retries:
            kept["retries"] = self._retries
        if self.waited:
            kept["waited_ms"] = round(self.waited * 1000, 1)
        if self.hedged:
            kept["hedged"] = True
        if self.pool is not self._home and self.pool.name != self._home.name:
            kept["fallback"] = self.pool.name
        return kept
