"""A run that a REST call has asked for, while its client waits for it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from agents.doors.base.event_sink import Answering
from agents.events.event import Event
from agents.runtime.execution.ports import ActiveRun, Runs, Started
from agents.schema.run_request import RunRequest
from kernel.asgi import ClientLeft, ClientWatch, Headers, Receive
from tenants.admission.principal import Principal


class RunCall(Answering, Protocol):
    """The call that asks for a run, as far as it is known here."""

    receive: Receive
    route: str
    limit_headers: Headers
    waited: float

    def elapsed(self) -> float:
        """Seconds since it came in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRun:
    """A run of this worker, and the client that waits for it."""

    call: RunCall
    runner: Runs
    run: ActiveRun
    started: Started
    client: ClientWatch

    def events(self) -> AsyncGenerator[Sequence[Event]]:
        """From the first one on."""
        return self.runner.follow(self.run.principal.tenant_id, self.started.run_id)

    def ensure_success(self) -> None:
        """Call it when all events are there. Raises the error of a run that failed."""
        self.call.waited = self.call.elapsed()
        if self.run.error is not None:
            raise self.run.error


@asynccontextmanager
async def open_run(
    call: RunCall, principal: Principal, create: RunRequest, *, runner: Runs
) -> AsyncGenerator[OpenRun]:
    """Start a run, and let the block answer with it. The run belongs to the worker, which is told
    if the client leaves during the block.
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
        run.leave()
        raise
