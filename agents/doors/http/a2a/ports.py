"""What tasks of A2A need of the gateway and of the call. Both have it; neither is imported."""

from dataclasses import dataclass
from typing import Protocol

from agents.doors.base.conversation_ports import Conversations
from agents.runtime.catalog.agents import PublishedAgent
from agents.runtime.execution.ports import RunSender, RunService
from agents.schema.a2a.tasks import A2aStore
from agents.schema.run_store import RunStore
from kernel.asgi import Headers
from tenants.admission.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class A2aCaller:
    """An authenticated client, and the agent that it calls."""

    principal: Principal
    agent: PublishedAgent

    @property
    def tenant_id(self) -> int:
        return self.principal.tenant_id


class TaskServices(Protocol):
    """The components of the gateway that tasks use."""

    @property
    def a2a(self) -> A2aStore: ...

    @property
    def conversations(self) -> Conversations: ...

    @property
    def run_queue(self) -> RunSender: ...

    @property
    def runner(self) -> RunService: ...

    @property
    def runs(self) -> RunStore: ...


class TaskCall(Protocol):
    """The call that a task answers."""

    route: str
    limit_headers: Headers
    upstream_seconds: float | None

    def elapsed(self) -> float:
        """Return seconds since the request was received."""
