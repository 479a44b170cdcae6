"""The dependencies of runs: services that all runs of a worker share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.events.log import EventLog
from agents.events.pubsub import WorkerPubSub
from agents.runtime.catalog.agents import AgentCatalog
from agents.runtime.response_cache.cache import ResponseCache
from agents.runtime.tools.dependencies import ToolDependencies
from agents.schema.run_store import RunStore
from inference.fleet.snapshot import FleetReference
from inference.relay.opener import ExchangeOpener
from tenants.admission.gate import Gate
from tenants.admission.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDependencies:
    """Built once per worker, in `config`."""

    worker: str
    """The worker's name, which the table of runs stores."""
    gate: Gate
    relay: ExchangeOpener
    catalog: AgentCatalog
    fleet: FleetReference
    store: RunStore
    log: EventLog
    pubsub: WorkerPubSub
    tools: ToolDependencies
    response_cache: ResponseCache
    is_agent_node: bool
    """Whether this worker executes queued and resumed runs, if there are agent nodes."""
    may_execute: Callable[[int, str], bool]
    """Returns whether an agent, by its tenant's id and slug, is placed on this worker."""
    count_nodes: Callable[[], int]
    """Returns the number of agent nodes that execute queued runs."""
    max_queued_runs: int
    """The maximum number of queued runs per tenant."""
    find_principal: Callable[[str], Awaitable[Principal | None]]
    """Returns the principal of a key's public id. Raises KeysUnavailable."""
