"""What every door works with. Built once per worker, in `config`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from agents.runtime.catalog import AgentCatalog
from inference.fleet.snapshot import FleetReference
from inference.relay.opener import Opener
from inference.relay.watch import Watch
from kernel.cache import LoadingCache
from tenants.admission.authentication import Keyring
from tenants.admission.gate import Gate
from tenants.admission.principal import Principal
from tenants.usage_report import QuotaLine, UsageQuestion, UsageReport

Quotas = Callable[[Principal], Awaitable[Sequence[QuotaLine]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The parts of a gateway worker that requests need."""

    keyring: Keyring
    gate: Gate
    catalog: AgentCatalog
    fleet: FleetReference
    relay: Opener
    watch: Watch
    redis: Redis
    usage: LoadingCache[UsageQuestion, UsageReport]
    max_body_bytes: int
    allowed_origins: frozenset[str]
    allow_loopback_origins: bool
    quotas: Quotas
    """How the quotas that count a caller stand, for it to read."""
