"""What all runs of a worker work with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.events.log import EventLog
from agents.events.pubsub import WorkerPubSub
from agents.runtime.catalog.agents import AgentCatalog
from agents.runtime.execution.tool_dependencies import ToolDependencies
from agents.runtime.response_cache.cache import ResponseCache
from agents.schema.run_records import RunStore
from inference.fleet.snapshot import FleetReference
from inference.relay.opener import ExchangeOpener
from tenants.admission.gate import Gate
from tenants.admission.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDependencies:
    """Built once per worker, in `config`."""

    worker: str
    """Its name, by which the table knows whose run it is."""
    gate: Gate
    relay: ExchangeOpener
    catalog: AgentCatalog
    fleet: FleetReference
    store: RunStore
    log: EventLog
    pubsub: WorkerPubSub
    tool_dependencies: ToolDependencies
    answers: ResponseCache
    find_principal: Callable[[str], Awaitable[Principal | None]]
    """By the public id of a key. Raises KeysUnavailable."""
