"""The facts of a run in the worker that executes it: request, principal, target, events."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import msgspec

from agents.events.recorder import EventRecorder
from agents.events.responses import ResponseEvents
from agents.events.writer import RunLog
from agents.runtime.catalog.agents import RunLimits
from agents.runtime.catalog.model_resolution import Target
from agents.runtime.execution.mapping import row_of
from agents.runtime.loop.ports import AskModel, ModelDelta, Progress, RunPlan
from agents.runtime.pausing.checkpoint import RunCheckpoint
from agents.schema.items import Item
from agents.schema.run_records import NewRun, RunStore
from agents.schema.run_request import RunRequest
from agents.schema.run_settings import RunSettings
from inference.relay.schema import ChatRequest
from kernel.errors import Overloaded
from tenants.admission.gate import Subject
from tenants.admission.principal import Principal
from tenants.admission.usage.records import Usage

T = TypeVar("T")

RETRY_TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS = 0.5


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """How a run goes on that has waited for a person."""

    paused: RunCheckpoint
    log: RunLog


class Calls(Protocol):
    """The model calls of the run, and what they have used."""

    subject: Subject
    used: Usage
    count: int

    def __call__(self, request: ChatRequest) -> AsyncGenerator[ModelDelta]:
        """Ask once."""

    def asked_as(self, target: Target) -> AskModel:
        """Another agent's model, for this run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The parts of one run. What happens to it, and when, is `LiveRun`'s."""

    worker: str
    store: RunStore
    create: RunRequest
    principal: Principal
    target: Target
    settings: RunSettings
    log: RunLog
    recorder: EventRecorder
    calls: Calls
    paused: RunCheckpoint | None
    """What it had come to before it waited for a person."""

    @property
    def id(self) -> str:
        return self.log.run_id

    @property
    def tenant_id(self) -> int:
        return self.principal.tenant_id

    @property
    def limits(self) -> RunLimits:
        limits = self.target.agent.limits if self.target.agent else RunLimits()
        asked = self.create.max_tool_calls
        if asked is None or asked >= limits.tool_calls:
            return limits
        return replace(limits, tool_calls=asked)

    @property
    def seconds_left(self) -> float:
        """Of the time that it may take; waiting for people does not count."""
        spent = self.paused.progress.seconds if self.paused else 0.0
        return max(0.0, self.limits.seconds - spent)

    def as_new(self, *, waits: bool) -> NewRun:
        """As the table gets it."""
        return row_of(
            self.create,
            self.settings,
            principal=self.principal,
            target=self.target,
            worker=self.worker,
            waits=waits,
        )

    def as_paused(self, plan: RunPlan, progress: Progress, items: Sequence[Item]) -> RunCheckpoint:
        """All that another worker needs to go on from here."""
        agent, request = self.target.agent, plan.request
        return RunCheckpoint(
            create=self.create,
            settings=self.settings,
            key=self.principal.public_id,
            agent=agent.slug if agent else "",
            revision=agent.revision if agent else 0,
            request=msgspec.structs.replace(request, messages=request.messages[:1], tools=None),
            messages=tuple(request.messages),
            tools=tuple(request.tools or ()),
            client_tools=plan.client_tools,
            items=tuple(items),
            progress=progress,
            used=self.calls.used,
            calls=self.calls.count,
            number=self.recorder.events.number,
        )

    async def retry_while_unavailable(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the table again for a while, should it be away. Raises Overloaded."""
        deadline = time.monotonic() + (RETRY_TIMEOUT_SECONDS if self.create.store else 0)
        while True:
            try:
                return await ask()
            except Overloaded:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)


def make_recorder(
    run_log: RunLog, settings: RunSettings, paused: RunCheckpoint | None
) -> EventRecorder:
    """Tells a run from its beginning, or from where it waited."""
    if paused is None:
        return EventRecorder(ResponseEvents(settings), run_log)
    events = ResponseEvents(settings, number=paused.number, done=paused.items)
    return EventRecorder(events, run_log)
