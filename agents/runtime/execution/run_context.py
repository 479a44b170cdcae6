"""The facts of a run in the worker that executes it: request, principal, target, events, usage."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import msgspec

from agents.events.recorder import EventRecorder
from agents.events.responses import ResponseEvents
from agents.events.writer import RunLog
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.context.chat_request import truncation_of
from agents.runtime.loop.ports import RunPlan, RunProgress
from agents.schema.checkpoint import RunCheckpoint, dump_checkpoint
from agents.schema.items import Item
from agents.schema.run_limits import RunLimits
from agents.schema.run_records import NewRun, QueueEntry, sum_usage
from agents.schema.run_request import RunRequest
from agents.schema.run_settings import RunSettings
from agents.schema.run_store import RunStore
from kernel.errors import Overloaded
from tenants.admission.principal import Principal
from tenants.admission.usage.records import Usage

T = TypeVar("T")

RETRY_TIMEOUT_SECONDS = 10.0
RETRY_PAUSE_SECONDS = 0.5


@dataclass(slots=True, kw_only=True)
class RunUsage:
    """The usage of the model calls of a run so far."""

    tokens: Usage = field(default_factory=Usage)
    """The settled usage of all calls, those of hand-offs included."""
    model_calls: int = 0
    """The number of admitted calls, those of hand-offs not included."""

    def add(self, usage: Usage) -> None:
        self.tokens = sum_usage(self.tokens, usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The facts of one run. `RunExecutor` drives it, `ActiveRun` owns its life cycle."""

    worker: str
    store: RunStore
    request: RunRequest
    principal: Principal
    target: ResolvedModel
    settings: RunSettings
    log: RunLog
    recorder: EventRecorder
    usage: RunUsage
    checkpoint: RunCheckpoint | None
    """The state of a run that is resumed; None for a new run."""

    @property
    def id(self) -> str:
        return self.log.run_id

    @property
    def tenant_id(self) -> int:
        return self.principal.tenant_id

    @property
    def limits(self) -> RunLimits:
        """The agent's limits, with the request's own maximum of tool calls if that is lower."""
        limits = self.target.agent.limits if self.target.agent else RunLimits()
        requested = self.request.max_tool_calls
        if requested is None or requested >= limits.tool_calls:
            return limits
        return replace(limits, tool_calls=requested)

    @property
    def seconds_left(self) -> float:
        """The rest of the run's maximum duration. Waiting for approvals does not count."""
        spent = self.checkpoint.progress.seconds if self.checkpoint else 0.0
        return max(0.0, self.limits.seconds - spent)

    @property
    def _retry_seconds(self) -> float:
        if not self.request.store:
            return 0.0
        return math.inf if self.request.background else RETRY_TIMEOUT_SECONDS

    def as_new(self, *, waits: bool, queue: QueueEntry | None = None) -> NewRun:
        """Return the row to insert. `waits`: the run must be claimed before it starts."""
        request, target, principal = self.request, self.target, self.principal
        settings = self.settings if request.store else self.settings.without_text()
        return NewRun(
            id=self.id,
            tenant_id=principal.tenant_id,
            worker=self.worker,
            door=request.door,
            model=request.model,
            agent=target.agent.slug if target.agent else "",
            agent_revision=target.agent.revision if target.agent else None,
            route=target.route.name,
            api_key_id=principal.key_id,
            member_id=principal.member_id,
            conversation=request.conversation,
            previous=request.previous_response,
            client_id=request.client_id,
            fingerprint=settings.fingerprint,
            request=msgspec.to_builtins(settings),
            background=request.background,
            store=request.store,
            waits=waits,
            queue=queue,
            checkpoint=dump_checkpoint(self.as_first_checkpoint()) if request.background else "",
        )

    def as_first_checkpoint(self) -> RunCheckpoint:
        """Return the checkpoint of a run that has not started: its request."""
        agent = self.target.agent
        return RunCheckpoint(
            run_request=self.request,
            settings=self.settings,
            key=self.principal.public_id,
            agent=agent.slug if agent else "",
            revision=agent.revision if agent else 0,
        )

    def as_checkpoint(
        self,
        plan: RunPlan,
        progress: RunProgress,
        items: Sequence[Item],
        *,
        starting: Collection[str] = (),
    ) -> RunCheckpoint:
        """Return the checkpoint from which any worker can resume the run."""
        request = plan.request
        return msgspec.structs.replace(
            self.as_first_checkpoint(),
            request=msgspec.structs.replace(request, messages=request.messages[:1], tools=None),
            messages=tuple(request.messages),
            tools=tuple(request.tools or ()),
            client_tools=plan.client_tools,
            items=tuple(items),
            started_calls=frozenset(starting),
            progress=progress,
            usage=self.usage.tokens,
            model_calls=self.usage.model_calls,
            last_event=self.recorder.events.number,
        )

    async def retry_while_unavailable(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retry a store call for up to 10 s if the run is to be stored. Raises Overloaded.

        A run that another worker can continue is retried without a limit: it must not end in its
        log while the table still has it in progress, and nobody can claim it in the meantime.
        """
        deadline = time.monotonic() + self._retry_seconds
        while True:
            try:
                return await call()
            except Overloaded:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(RETRY_PAUSE_SECONDS)


def new_context(
    request: RunRequest,
    principal: Principal,
    target: ResolvedModel,
    *,
    log: RunLog,
    worker: str,
    store: RunStore,
) -> RunContext:
    """Return the context of a run that starts."""
    settings = settings_for(request, run_id=log.run_id, target=target)
    return RunContext(
        worker=worker,
        store=store,
        request=request,
        principal=principal,
        target=target,
        settings=settings,
        log=log,
        recorder=EventRecorder(ResponseEvents(settings), log),
        usage=RunUsage(),
        checkpoint=None,
    )


def resumed_context(
    checkpoint: RunCheckpoint,
    principal: Principal,
    target: ResolvedModel,
    *,
    log: RunLog,
    worker: str,
    store: RunStore,
) -> RunContext:
    """Return the context of a run that continues from `checkpoint`."""
    last = checkpoint.last_event
    events = ResponseEvents(checkpoint.settings, number=last, done=checkpoint.items)
    recorder = EventRecorder(events, log)
    if later := log.buffer.events[last + 1 :]:
        # Another worker has published them after its last checkpoint, and died.
        recorder.record(events.abandon(later))
    return RunContext(
        worker=worker,
        store=store,
        request=checkpoint.run_request,
        principal=principal,
        target=target,
        settings=checkpoint.settings,
        log=log,
        recorder=recorder,
        usage=RunUsage(tokens=checkpoint.usage, model_calls=checkpoint.model_calls),
        checkpoint=checkpoint,
    )


def settings_for(request: RunRequest, *, run_id: str, target: ResolvedModel) -> RunSettings:
    """Return the settings of the request that the response of this run repeats."""
    return RunSettings(
        response_id=run_id,
        model=request.model,
        created_at=int(time.time()),
        instructions=request.instructions,
        temperature=request.temperature,
        top_p=request.top_p,
        max_output_tokens=request.max_output_tokens,
        metadata=request.metadata,
        previous_response_id=request.previous_response or request.continues,
        conversation=request.conversation,
        store=request.store,
        background=request.background,
        stream_id=request.stream_id,
        truncation=truncation_of(request, agent=target.agent),
        fingerprint=request.fingerprint if request.client_id else "",
        **request.echo,
    )
