"""Runs as doors know them: how they are started, followed and stopped."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from agents.events.event import Event
from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_records import RunRecord
from agents.schema.run_request import RunRequest
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


class ActiveRun(Protocol):
    """A run that this worker executes."""

    id: str
    create: RunRequest
    principal: Principal
    started: asyncio.Future[Started]
    """Comes true when it may be told of; else it says why not."""
    over: asyncio.Event
    task: asyncio.Task[None] | None

    @property
    def error(self) -> PlatformError | None:
        """Why it failed, once it is over."""

    @property
    def route(self) -> str:
        """The name of the model route that serves it."""

    @property
    def made(self) -> tuple[Item, ...]:
        """What it has made by now, as it is stored and shown."""

    def response(self, status: str) -> Json:
        """Its response object before it has made anything."""

    def leave(self) -> None:
        """Whoever asked for it has gone."""


class Bells(Protocol):
    """Words of other processes."""

    def heard(self, name: str, hear: Callable[[str], None]) -> AbstractContextManager[None]:
        """Hear what is said under `name` while the block runs."""


class Runs(Protocol):
    """The runs of this worker, and the way to those of others."""

    @property
    def pubsub(self) -> Bells:
        """Tells of conversations."""

    async def start(
        self, principal: Principal, create: RunRequest, *, behind: ActiveRun | None = None
    ) -> ActiveRun:
        """A run that goes on by itself, after `behind` has ended. Raises ModelNotFound."""

    async def cancel(self, tenant_id: int, run_id: str) -> RunRecord:
        """Cancel a run, wherever it is. Harmless when it has ended. Raises NotFound."""

    async def forget_log(self, run_id: str) -> None:
        """Nobody can read its events any more."""

    def follow(
        self, tenant_id: int, run_id: str, *, after: int = -1
    ) -> AsyncGenerator[Sequence[Event]]:
        """The events of a run beyond number `after`, up to its last one, wherever it runs.

        Raises NotFound, InvalidParameter beyond the log, and NotResumable.
        """
