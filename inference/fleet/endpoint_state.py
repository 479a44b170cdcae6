"""The state of one endpoint in a worker, and the scores that strategies compare."""

from bisect import bisect
from collections import deque
from collections.abc import Container, Iterator, Sequence
from itertools import accumulate
from time import monotonic

import msgspec

from inference.fleet.circuit_breaker import CircuitBreaker
from inference.fleet.hash_ring import HashRing, ring_of
from inference.fleet.snapshot import Endpoint

SMOOTHING = 0.2
IDLE_SECOND_WEIGHT = 1e-10
"""Weight of a second since the last request, in requests: it only decides between equals."""
UNKNOWN_SECONDS = 1.0
"""Assumed time to first token in seconds, before the first measurement."""
TIE_BREAK_WEIGHT = 1e-6
"""Weight of the load in other scores: it only decides between equals."""
MAX_RECENT = 200
"""Number of measured times to first token from which quantiles are computed."""


class ReportedLoad(msgspec.Struct, frozen=True):
    """The load that an engine reported last."""

    at: float = 0.0
    """Seconds since 1970."""
    waiting: int = 0
    """Requests in the engine's own queue."""
    kv: float = 0.0
    """Used share of the KV cache, 0 to 1."""


UNKNOWN_LOAD = ReportedLoad()

ExcludedEndpoints = tuple[tuple[str, str], ...]
"""Ids of excluded endpoints, each with the reason."""


class EndpointState:
    """One endpoint with its load, failures and times to first token in this worker."""

    __slots__ = (
        "_recent",
        "_touched",
        "breaker",
        "busy_until",
        "ejected_elsewhere_until",
        "elsewhere",
        "endpoint",
        "engine_load",
        "expected_ttft",
        "failing_until",
        "in_flight",
        "load",
        "load_by_weight",
        "queue_score",
        "requests",
        "slow_start_share",
        "total_failures",
        "ttft",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.breaker = CircuitBreaker()
        self.busy_until = 0.0
        """End of the pause after an overloaded response, in seconds since 1970."""
        self.failing_until = 0.0
        """End of the time in which it probably fails though it is not ejected, since 1970."""
        self.in_flight = 0
        """Running requests of this worker."""
        self.elsewhere = 0
        """Running requests of the other workers, as last reported."""
        self.ejected_elsewhere_until = 0.0
        self.engine_load = UNKNOWN_LOAD
        self.ttft: float | None = None
        """Smoothed time to first token in seconds."""
        self.slow_start_share = 1.0
        """Share of requests during the slow start, above 0 to 1."""
        self.requests = 0
        self.total_failures = 0
        self.load = 0.0
        """Running requests divided by `max_concurrency`. `recompute_scores` updates this and the
        other scores, since they change twice per request, and are read for each request."""
        self.load_by_weight = 0.0
        """Running requests plus one, divided by the weight."""
        self.expected_ttft = 0.0
        """Expected time to first token in seconds, in proportion to the running requests."""
        self.queue_score = 0.0
        """Score of the engine's queue, its KV cache and the running requests."""
        self._touched = 0.0
        """Monotonic time at which a request last started or ended here."""
        self._recent: deque[float] = deque(maxlen=MAX_RECENT)

    def count(self, change: int) -> None:
        """Add `change` to the running requests."""
        self.in_flight += change
        self._touched = monotonic()
        self.recompute_scores()

    def recompute_scores(self) -> None:
        """Compute the scores. Between equals the endpoint that was idle longest has the lowest."""
        endpoint, slow_start_share, load_report = (
            self.endpoint,
            self.slow_start_share,
            self.engine_load,
        )
        running = self.in_flight + self.elsewhere
        room = endpoint.max_concurrency or 1
        self.load = load = (running + self._touched * IDLE_SECOND_WEIGHT) / (
            room * slow_start_share
        )
        self.load_by_weight = (running + 1 + load * TIE_BREAK_WEIGHT) / (
            endpoint.weight * slow_start_share
        )
        # A new endpoint is tried early, but not with all requests at once.
        ttft = self.ttft
        alone = UNKNOWN_SECONDS * running if ttft is None else ttft * (running + 1)
        self.expected_ttft = alone / slow_start_share + load * TIE_BREAK_WEIGHT
        self.queue_score = load_report.waiting / room + load_report.kv + load

    @property
    def is_full(self) -> bool:
        return self.in_flight + self.elsewhere >= self.endpoint.max_concurrency

    def record_ttft(self, seconds: float) -> None:
        self._recent.append(seconds)
        known = self.ttft
        self.ttft = seconds if known is None else known + SMOOTHING * (seconds - known)
        self.recompute_scores()

    def decay_ttft(self, share: float) -> None:
        """Multiply the time to first token of an idle endpoint by `share`, so that it is tried."""
        if self.ttft is not None and not self.in_flight:
            self.ttft *= share
            self.recompute_scores()

    def quantile(self, share: float) -> float | None:
        """Return a quantile of the last times to first token, in seconds."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class CandidateSet:
    """The usable endpoints of a pool, with values that are computed once."""

    def __init__(self, candidates: Sequence[EndpointState], *, places: Sequence[str] = ()) -> None:
        """`places`: the ids of all endpoints of the pool; by default those of the candidates."""
        self.candidates = tuple(candidates)
        self._places = places
        self._ring: HashRing | None = None
        self._weights: list[int] = []
        self._by_id: dict[str, EndpointState] = {}

    def __len__(self) -> int:
        return len(self.candidates)

    def without(self, gone: Container[str]) -> "CandidateSet":
        """Return the set without the endpoints whose id is in `gone`."""
        left = [each for each in self.candidates if each.endpoint.id not in gone]
        return CandidateSet(
            left, places=self._places or [each.endpoint.id for each in self.candidates]
        )

    def at_weight(self, share: float) -> EndpointState:
        """Return the candidate at `share` (0 to below 1) of the cumulated weights."""
        weights = self._weights
        if not weights:
            weights[:] = accumulate(each.endpoint.weight for each in self.candidates)
        return self.candidates[min(bisect(weights, share * weights[-1]), len(weights) - 1)]

    def nearest(self, key: bytes) -> Iterator[EndpointState]:
        """Yield the candidates in the order of the hash ring for a key."""
        if self._ring is None:
            self._by_id = {each.endpoint.id: each for each in self.candidates}
            self._ring = ring_of(tuple(self._places or self._by_id))
        for name in self._ring.walk(key):
            if name in self._by_id:
                yield self._by_id[name]
