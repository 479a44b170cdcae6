"""Runs as doors see them: started, followed, cancelled. What executes them is the runner."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from agents.events.event import Event
from agents.runtime.create_run import CreateRun
from agents.runtime.items import Json
from agents.runtime.resolution import Target
from agents.runtime.run_rows import KnownRun, RunStore
from kernel.asgi import Headers
from kernel.errors import PlatformError
from tenants.admission.principal import Principal


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever asked for a run is told first."""

    run_id: str
    headers: Headers = []
    """How the caller's limits stand."""
    joined: bool = False
    """Whether it was there already, under its `client_id`."""


class StartedRun(Protocol):
    """A run of this worker."""

    id: str
    create: CreateRun
    principal: Principal
    target: Target
    started: asyncio.Future[Started]
    """When it may be told of, or why not."""
    over: asyncio.Event
    error: PlatformError | None
    """Why it failed, once it is over."""
    task: asyncio.Task[None] | None

    def response(self, status: str) -> Json:
        """Its response object before it has made anything."""

    def leave(self) -> None:
        """Whoever asked for it has gone."""


class Hearing(Protocol):
    """What wakes up those that wait for other workers."""

    def heard(self, name: str, hear: Callable[[str], None]) -> AbstractContextManager[None]:
        """Call `hear` whenever the bell rings inside the block."""


class Runs(Protocol):
    """The runner."""

    @property
    def store(self) -> RunStore:
        """The table of runs."""

    @property
    def bell(self) -> Hearing:
        """Wakes up whoever waits for other workers."""

    async def start(
        self, principal: Principal, create: CreateRun, *, behind: StartedRun | None = None
    ) -> StartedRun:
        """A run that goes on by itself, after `behind`. Raises ModelNotFound."""

    async def cancel(self, tenant_id: int, run_id: str) -> KnownRun:
        """Cancel a run, wherever it is. Harmless when it has ended. Raises NotFound."""

    def follow(
        self, tenant_id: int, run_id: str, *, after: int = -1
    ) -> AsyncGenerator[Sequence[Event]]:
        """Its events beyond number `after`, up to the last one, wherever it runs.

        Raises NotFound, InvalidParameter beyond the log, and NotResumable.
        """

    async def forget_log(self, run_id: str) -> None:
        """Nobody can read its events any more."""
