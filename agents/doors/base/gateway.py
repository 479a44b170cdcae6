"""What every door works with. Built once per worker, in `config`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from agents.doors.base.conversation_ports import Conversations
from agents.doors.websocket.open_sockets import OpenSockets
from agents.runtime.catalog.agents import AgentCatalog
from agents.runtime.catalog.model_resolution import Target, resolve
from agents.runtime.catalog.revision_selection import Sticky, sticky_to
from agents.runtime.execution.ports import Runs
from agents.runtime.response_cache.cache import ResponseCache
from agents.schema.run_records import RunStore
from inference.fleet.snapshot import FleetReference
from inference.relay.opener import ExchangeOpener
from inference.relay.watchdog import Watchdog
from kernel.ids import new_request_id
from kernel.storage.cache import LoadingCache
from tenants.admission.authentication import Keyring
from tenants.admission.gate import Gate
from tenants.admission.principal import Principal
from tenants.ledger.usage_report import QuotaLine, UsageQuestion, UsageReport

Quotas = Callable[[Principal], Awaitable[Sequence[QuotaLine]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The parts of a gateway worker that requests need."""

    keyring: Keyring
    gate: Gate
    catalog: AgentCatalog
    conversations: Conversations
    fleet: FleetReference
    relay: ExchangeOpener
    watch: Watchdog
    runner: Runs
    runs: RunStore
    redis: Redis
    answers: ResponseCache
    usage: LoadingCache[UsageQuestion, UsageReport]
    max_body_bytes: int
    allowed_origins: frozenset[str]
    allow_loopback_origins: bool
    sockets: OpenSockets
    quotas: Quotas
    """How the quotas that count a caller stand, for it to read."""

    async def resolve(
        self,
        principal: Principal,
        model: str,
        *,
        purpose: str,
        sticky: Sticky | None = None,
    ) -> Target:
        """Which route serves `model` for this caller, and as which agent. Raises ModelNotFound.

        `sticky` keeps a conversation or a user with one revision during a rollout; None: by lot.
        """
        tenant_id = principal.tenant_id
        pinned = await self.catalog.pinned(tenant_id, model) if "@" in model else None
        return resolve(
            model,
            purpose=purpose,
            principal=principal,
            agents=await self.catalog.of_tenant(tenant_id),
            fleet=self.fleet.current,
            sticky=sticky or sticky_to(key_id=principal.counted_as, request_id=new_request_id()),
            pinned=pinned,
        )
