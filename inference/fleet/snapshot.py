"""The fleet as one immutable value: a gateway worker swaps a reference and is up to date."""

from collections.abc import Mapping
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
    forced: str = ""
    """`open` or `closed`: what an operator wants of its breaker."""
    limit_name: str = "max_tokens"
    """The parameter by which its engine knows the longest answer."""

    @property
    def is_able(self) -> bool:
        """Whether it may get requests, as far as the tables tell."""
        return self.ready and self.forced != "open" and self.max_concurrency > 0


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
    """Of `pool` beside the shares."""
    fallbacks: tuple[Pool, ...] = ()
    """In the order in which they are tried when no other pool can."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """Every enabled route."""

    routes: Mapping[str, Route] = field(default_factory=dict)


class FleetReference:
    """Where the current fleet is found. Whoever reads it twice may see two fleets."""

    def __init__(self) -> None:
        self.current = Fleet()
        self.loaded = False

    def swap(self, fleet: Fleet) -> None:
        self.current = fleet
        self.loaded = True
