"""The fleet as an immutable value that a gateway worker replaces as a whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tenants.admission.limits.price import FREE, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that serves a model."""

    id: str
    address: str
    model: str
    credential: str = field(default="", repr=False)
    ready: bool = True
    max_concurrency: int = 1000
    weight: int = 1
    zone: str = ""
    version: str = ""
    ready_since: float = 0.0
    """Seconds since 1970."""
    breaker_override: str = ""
    """`open` or `closed`: the operator's override of the breaker; empty: automatic."""
    limit_name: str = "max_tokens"
    """The engine's parameter for the maximum number of completion tokens."""

    @property
    def is_able(self) -> bool:
        """Whether it may get requests, according to the database."""
        return self.ready and self.breaker_override != "open" and self.max_concurrency > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Interchangeable endpoints. Timeouts are in seconds."""

    name: str
    engine: str
    connect_timeout: float = 5.0
    first_token_timeout: float = 120.0
    token_timeout: float = 60.0
    endpoints: tuple[Endpoint, ...] = ()
    strategy: str = "least_requests"
    max_in_flight: int | None = None
    queue_length: int = 200
    queue_seconds: float = 30.0
    hedge_after: float | None = None
    probe_path: str = "/health"
    probe_seconds: float = 10.0
    probe_rise: int = 2
    probe_fall: int = 3
    completion_probe_seconds: float | None = None
    eject_after: int = 5
    eject_seconds: float = 30.0
    slow_start_seconds: float = 0.0
    sends_priority: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The public name of a model and the pool that serves it."""

    name: str
    purpose: str
    context_length: int
    pool: Pool
    created: int = 0
    """Seconds since 1970."""
    price: Price = FREE
    shares: tuple[tuple[Pool, int], ...] = ()
    """Further pools among which requests are divided, with their weights."""
    pool_weight: int = 1
    """Weight of `pool`, relative to those of the shares."""
    fallbacks: tuple[Pool, ...] = ()
    """Pools for requests that no other pool can serve, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """The enabled routes by name."""

    routes: Mapping[str, Route] = field(default_factory=dict)

    def pools(self) -> Iterator[Pool]:
        """Yield the pools of all routes, shares and fallbacks included; one may come twice."""
        for route in self.routes.values():
            yield route.pool
            yield from (pool for pool, _ in route.shares)
            yield from route.fallbacks


class FleetReference:
    """Reference to the current fleet. Two reads may return different fleets."""

    def __init__(self) -> None:
        self.current = Fleet()
        self.loaded = False

    def swap(self, fleet: Fleet) -> None:
        self.current = fleet
        self.loaded = True
