"""The fleet as one immutable value: a gateway worker swaps a reference and is up to date."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenants.admission.limits import FREE, Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address that serves a model."""

    id: str
    address: str
    model: str
    credential: str = field(default="", repr=False)
    ready: bool = True
    max_concurrency: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Interchangeable endpoints. Timeouts are in seconds."""

    name: str
    engine: str
    connect_timeout: float = 5.0
    first_token_timeout: float = 120.0
    token_timeout: float = 60.0
    endpoints: tuple[Endpoint, ...] = ()


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
