"""What a worker knows of one endpoint: what strategies choose by."""

from collections import deque
from collections.abc import Sequence
from time import monotonic

import msgspec

from inference.fleet.breaker import Breaker
from inference.fleet.hash_ring import HashRing
from inference.fleet.snapshot import Endpoint

SMOOTHING = 0.2
TURN = 1e-10
"""What a second of rest counts for, in requests: next to nothing."""
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


class Candidate:
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
        "requests",
        "total_failures",
        "ttft",
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
        """Running requests for its size, kept up to date: it is read for every request."""
        self._touched = 0.0
        """Seconds of the monotonic clock, when a request began or ended here last."""
        self._recent: deque[float] = deque(maxlen=RECENT)

    def count(self, change: int) -> None:
        """So many requests more, or fewer, run there from here."""
        self.in_flight += change
        self._touched = monotonic()
        self.weigh()

    def weigh(self) -> None:
        """Work out the load anew. Between equals it is the turn of who has rested longest."""
        room = max(1, self.endpoint.max_concurrency) * self.warmth
        self.load = (self.in_flight + self.elsewhere + self._touched * TURN) / room

    @property
    def is_full(self) -> bool:
        return self.in_flight + self.elsewhere >= self.endpoint.max_concurrency

    def saw_first_token(self, seconds: float) -> None:
        self._recent.append(seconds)
        known = self.ttft
        self.ttft = seconds if known is None else known + SMOOTHING * (seconds - known)

    def quantile(self, share: float) -> float | None:
        """Of the last times to first token, in seconds."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Field:
    """The candidates of one pool that may be chosen, and what is worked out from them once."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = tuple(candidates)
        self.total_weight = sum(each.endpoint.weight for each in self.candidates)
        self._ring: HashRing | None = None

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def ring(self) -> HashRing:
        if self._ring is None:
            self._ring = HashRing([each.endpoint.id for each in self.candidates])
        return self._ring
