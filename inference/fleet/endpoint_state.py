"""What a worker knows of one endpoint: what strategies choose by."""

from bisect import bisect
from collections import deque
from collections.abc import Container, Iterator, Sequence
from itertools import accumulate
from time import monotonic

import msgspec

from inference.fleet.circuit_breaker import Breaker
from inference.fleet.hash_ring import HashRing, ring_of
from inference.fleet.snapshot import Endpoint

SMOOTHING = 0.2
TURN = 1e-10
"""What a second of rest counts for, in requests: next to nothing."""
UNKNOWN_SECONDS = 1.0
"""To a first token, where none was measured yet."""
SLIGHT = 1e-6
"""What the load counts for where something else is compared, and only equals differ by it."""
RECENT = 200
"""Times to first token that quantiles are made of."""


class Load(msgspec.Struct, frozen=True):
    """What an engine told of itself last."""

    at: float = 0.0
    """Seconds since 1970."""
    waiting: int = 0
    """Requests in the engine's own queue."""
    kv: float = 0.0
    """Of its cache of keys and values, the share in use: 0 to 1."""


UNKNOWN_LOAD = Load()

LeftOut = tuple[tuple[str, str], ...]
"""Ids of endpoints that cannot be chosen, each with the reason."""


class EndpointState:
    """One endpoint, with its load and its history, as far as this worker has seen them."""

    __slots__ = (
        "_recent",
        "_touched",
        "breaker",
        "busy_until",
        "elsewhere",
        "endpoint",
        "engine_load",
        "failing_until",
        "in_flight",
        "left_out_elsewhere_until",
        "load",
        "load_by_weight",
        "pressure",
        "requests",
        "total_failures",
        "ttft",
        "wait",
        "warmth",
    )

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.breaker = Breaker()
        self.busy_until = 0.0
        """Seconds since 1970: it said that it has too much to do, and rests for a moment."""
        self.failing_until = 0.0
        """Seconds since 1970: it fails again and again, but too many others are out already."""
        self.in_flight = 0
        """Requests from this worker."""
        self.elsewhere = 0
        """From the others, as far as this one heard."""
        self.left_out_elsewhere_until = 0.0
        self.engine_load = UNKNOWN_LOAD
        self.ttft: float | None = None
        """Seconds to the first token, smoothed."""
        self.warmth = 1.0
        """Above 0 to 1: its share while it starts slowly."""
        self.requests = 0
        self.total_failures = 0
        self.load = 0.0
        """Running requests for its size. This and what follows is kept up to date by `weigh`, for
        it changes twice with a request, and is read for each other endpoint's requests too."""
        self.load_by_weight = 0.0
        """Requests for its weight, with one more."""
        self.wait = 0.0
        """Seconds to a first token, if each request that runs there adds as long as one takes."""
        self.pressure = 0.0
        """Of the engine's own queue and cache, and of what runs."""
        self._touched = 0.0
        """Seconds of the monotonic clock, when a request began or ended here last."""
        self._recent: deque[float] = deque(maxlen=RECENT)

    def count(self, change: int) -> None:
        """So many requests more, or fewer, run there from here."""
        self.in_flight += change
        self._touched = monotonic()
        self.recompute_scores()

    def recompute_scores(self) -> None:
        """Work out anew what is compared. Between equals it is the turn of who rested longest."""
        endpoint, warmth, load_report = self.endpoint, self.warmth, self.engine_load
        running = self.in_flight + self.elsewhere
        room = endpoint.max_concurrency or 1
        self.load = load = (running + self._touched * TURN) / (room * warmth)
        self.load_by_weight = (running + 1 + load * SLIGHT) / (endpoint.weight * warmth)
        # Nobody knows a new one, which is a reason to try it, but not with everything at once.
        ttft = self.ttft
        alone = UNKNOWN_SECONDS * running if ttft is None else ttft * (running + 1)
        self.wait = alone / warmth + load * SLIGHT
        self.pressure = load_report.waiting / room + load_report.kv + load

    @property
    def is_full(self) -> bool:
        return self.in_flight + self.elsewhere >= self.endpoint.max_concurrency

    def record_ttft(self, seconds: float) -> None:
        self._recent.append(seconds)
        known = self.ttft
        self.ttft = seconds if known is None else known + SMOOTHING * (seconds - known)
        self.recompute_scores()

    def decay_ttft(self, share: float) -> None:
        """Weigh its time to first token less: it was not measured for a while."""
        if self.ttft is not None and not self.in_flight:
            self.ttft *= share
            self.recompute_scores()

    def quantile(self, share: float) -> float | None:
        """Of the last times to first token, in seconds."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class CandidateSet:
    """The candidates of one pool that may be chosen, and what is worked out from them once."""

    def __init__(self, candidates: Sequence[EndpointState], *, places: Sequence[str] = ()) -> None:
        """`places`: all endpoints of the pool, of which some may be left out; else the same."""
        self.candidates = tuple(candidates)
        self._places = places
        self._ring: HashRing | None = None
        self._weights: list[int] = []
        self._by_id: dict[str, EndpointState] = {}

    def __len__(self) -> int:
        return len(self.candidates)

    def without(self, gone: Container[str]) -> "CandidateSet":
        """The same pool with fewer to choose from."""
        left = [each for each in self.candidates if each.endpoint.id not in gone]
        return CandidateSet(
            left, places=self._places or [each.endpoint.id for each in self.candidates]
        )

    def at_weight(self, share: float) -> EndpointState:
        """Whose part of all weights `share`, from 0 to below 1, falls into."""
        weights = self._weights
        if not weights:
            weights[:] = accumulate(each.endpoint.weight for each in self.candidates)
        return self.candidates[min(bisect(weights, share * weights[-1]), len(weights) - 1)]

    def nearest(self, key: bytes) -> Iterator[EndpointState]:
        """Each candidate once, in the order in which a key tries them."""
        if self._ring is None:
            self._by_id = {each.endpoint.id: each for each in self.candidates}
            self._ring = ring_of(tuple(self._places or self._by_id))
        for name in self._ring.walk(key):
            if name in self._by_id:
                yield self._by_id[name]
