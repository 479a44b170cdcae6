"""A run that a REST call has created, while its client waits for it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from agents.doors.base.event_sink import StreamedCall
from agents.events.event import Event
from agents.runtime.execution.ports import RunHandle, RunService, Started
from agents.schema.run_request import RunRequest
from kernel.asgi import ClientLeft, ClientWatch, Headers, Receive
from tenants.admission.principal import Principal


class RunCall(StreamedCall, Protocol):
    """The call that creates a run."""

    receive: Receive
    route: str
    limit_headers: Headers
    upstream_seconds: float | None

    def elapsed(self) -> float:
        """Return seconds since the request was received."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run of this worker, and the client that waits for its events."""

    call: RunCall
    runner: RunService
    run: RunHandle
    started: Started
    client: ClientWatch

    def events(self) -> AsyncGenerator[Sequence[Event]]:
        """Return all events of the run, from the first one. From here on the call waits for it."""
        self.call.upstream_seconds = None
        return self.runner.follow(self.run.principal.tenant_id, self.started.run_id)

    def ensure_success(self) -> None:
        """Raise the error of a run that failed. Call this after the last event."""
        self.call.upstream_seconds = self.call.elapsed()
        if self.run.error is not None:
            raise self.run.error


@asynccontextmanager
async def open_run(
    call: RunCall, principal: Principal, create: RunRequest, *, runner: RunService
) -> AsyncGenerator[OpenRun]:
    """Start a run and yield it with its client.

    The run belongs to the worker. It is notified if the client leaves during the block.
    """
    run = await runner.start(principal, create)
    call.route = run.route
    client = ClientWatch(call.receive)
    try:
        async with client:
            started = await asyncio.shield(run.started)
            call.limit_headers = list(started.headers)
            yield OpenRun(call=call, runner=runner, run=run, started=started, client=client)
    except ClientLeft:
        run.on_client_disconnect()
        raise
