"""What all runs of a worker work with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.events.bell import Bell
from agents.events.log import EventLog
from agents.runtime.catalog import AgentCatalog
from agents.runtime.response_cache import ResponseCache
from agents.runtime.run_rows import RunStore
from agents.runtime.workshop import Workshop
from inference.fleet.snapshot import FleetReference
from inference.relay.opener import Opener
from tenants.admission.gate import Gate
from tenants.admission.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Machinery:
    """Built once per worker, in `config`."""

    worker: str
    """Its name, by which the table knows whose run it is."""
    gate: Gate
    relay: Opener
    catalog: AgentCatalog
    fleet: FleetReference
    store: RunStore
    log: EventLog
    bell: Bell
    workshop: Workshop
    answers: ResponseCache
    find_principal: Callable[[str], Awaitable[Principal | None]]
    """By the public id of a key. Raises KeysUnavailable."""
