"""The components that every door uses. `config` builds them once per worker."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import Redis

from agents.doors.base.conversation_ports import Conversations
from agents.doors.base.open_sockets import OpenSockets
from agents.doors.base.task_ports import Tasks
from agents.runtime.catalog.agents import AgentCatalog
from agents.runtime.catalog.tools import ToolCatalog
from agents.runtime.execution.ports import RunSender, RunService
from agents.runtime.response_cache.cache import ResponseCache
from agents.runtime.tools.kind import ToolHandler
from agents.runtime.tools.messages.ports import Messages
from agents.schema.a2a.tasks import A2aStore
from agents.schema.run_store import RunStore
from inference.fleet.snapshot import FleetReference
from inference.relay.opener import ExchangeOpener
from inference.relay.watchdog import Watchdog
from kernel.storage.cache import LoadingCache
from tenants.admission.authentication import Keyring
from tenants.admission.gate import Gate
from tenants.admission.principal import Principal
from tenants.ledger.usage_report import QuotaLine, UsageQuestion, UsageReport

Quotas = Callable[[Principal], Awaitable[Sequence[QuotaLine]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The components of a gateway worker that requests need."""

    keyring: Keyring
    gate: Gate
    catalog: AgentCatalog
    conversations: Conversations
    fleet: FleetReference
    relay: ExchangeOpener
    watch: Watchdog
    runner: RunService
    run_queue: RunSender
    runs: RunStore
    tasks: Tasks
    messages: Messages
    tools: ToolCatalog
    tool_handlers: Mapping[str, ToolHandler]
    """The handlers of the kinds of tools that need no run."""
    a2a: A2aStore
    redis: Redis
    answers: ResponseCache
    usage: LoadingCache[UsageQuestion, UsageReport]
    max_body_bytes: int
    public_url: str
    """The address of the gateway for clients, which agent cards name."""
    allowed_origins: frozenset[str]
    allow_loopback_origins: bool
    sockets: OpenSockets
    quotas: Quotas
    """The status of the quotas of a caller."""
