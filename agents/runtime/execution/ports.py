"""The interface of runs for doors: starting, following and stopping them.

Doors depend on these protocols and not on the runner, so that they can be imported, tested and
changed without it (ADR 0036).
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from agents.events.event import Event
from agents.events.pubsub import WorkerPubSub
from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_records import ClaimedRun, RunRecord
from agents.schema.run_request import RunRequest
from kernel.asgi import Headers
from kernel.errors import PlatformError
from tenants.admission.principal import Principal


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The result of starting a run: it has started, or is queued."""

    run_id: str
    headers: Headers = []
    """The state of the caller's limits, as response headers."""
    joined: bool = False
    """Whether the run existed already, under its `client_id`."""


class QueuedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The result of sending a run to the run queue."""

    run_id: str
    response: Json
    """The response object of the run."""
    revision: int | None = None
    """The revision of its agent; None for a plain model."""
    joined: bool = False
    """Whether the run existed already, under its `client_id`."""
    is_linked: bool = False
    """Whether the new task is linked with it."""


class RunHandle(Protocol):
    """A run that this worker executes."""

    id: str
    request: RunRequest
    principal: Principal
    started: asyncio.Future[Started]
    """Resolves when clients may see the run; its exception is the reason of a refusal."""
    finished: asyncio.Event
    task: asyncio.Task[None] | None

    @property
    def error(self) -> PlatformError | None:
        """The error of a failed run, once it has finished."""

    @property
    def route(self) -> str:
        """The name of the model route that serves the run."""

    @property
    def output(self) -> tuple[Item, ...]:
        """The output items so far, as they are stored and shown."""

    def response(self, status: str) -> Json:
        """Return the response object without output."""

    def on_client_disconnect(self) -> None:
        """Stop the run, unless it survives a disconnect of its client."""


class RunSender(Protocol):
    """The entry of the run queue."""

    @property
    def has_nodes(self) -> bool:
        """Whether there are agent nodes, which execute queued runs."""

    async def accepts(self, principal: Principal, model: str) -> bool:
        """Return whether background runs of a model or agent go to the queue.

        Without agent nodes only those of agents do that are placed on some nodes. Raises
        AgentsUnavailable.
        """

    async def send(
        self,
        principal: Principal,
        request: RunRequest,
        *,
        priority: int = 0,
        deadline: datetime | None = None,
        new_task: str = "",
    ) -> QueuedRun:
        """Send a run to the run queue, from which an agent node executes it.

        `new_task`: the id of a task without a run, which is linked with this one.

        Raises ModelNotFound, QueueFull, ConversationBusy, TooManyRuns, IdempotencyMismatch, and
        NotFound for a conversation or response that is not this tenant's.
        """


class ClaimedRuns(Protocol):
    """Executes runs that this worker has claimed from the run queue."""

    def __len__(self) -> int:
        """Return the number of runs that this worker executes."""

    async def execute_claimed(self, claimed: ClaimedRun) -> RunHandle | None:
        """Execute a run from its checkpoint.

        None if the run cannot be executed, which ends it, or not now, which releases it.
        """


class RunService(Protocol):
    """The runs of this worker, and access to those of other workers."""

    pubsub: WorkerPubSub
    """Publishes when a run of a conversation starts or ends."""

    async def start(
        self, principal: Principal, request: RunRequest, *, behind: RunHandle | None = None
    ) -> RunHandle:
        """Start a run, after `behind` has finished. Raises ModelNotFound."""

    async def cancel(self, tenant_id: int, run_id: str) -> RunRecord:
        """Cancel a run of any worker. Harmless when it has ended. Raises NotFound."""

    async def forget_log(self, run_id: str) -> None:
        """Delete the event log of a run."""

    def follow(
        self, tenant_id: int, run_id: str, *, after: int = -1
    ) -> AsyncGenerator[Sequence[Event]]:
        """Yield the events of a run after number `after`, up to its last one, of any worker.

        Raises NotFound, InvalidParameter beyond the log, and NotResumable.
        """
