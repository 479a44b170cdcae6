"""The life cycle of a run in this worker: queued, started, stopped or paused, and finished once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from agents.events.pubsub import conversation_channel
from agents.events.response_object import response_object
from agents.events.writer import RunLog
from agents.runtime.catalog.model_resolution import ResolvedModel
from agents.runtime.execution.conversation_queue import (
    Cancel,
    enqueue,
    ensure_same_request,
    needs_queue,
    wait_until_claimed,
)
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.finish import finish
from agents.runtime.execution.model_client import ModelClient
from agents.runtime.execution.outcome import (
    RunLost,
    RunOutcome,
    StopCause,
    as_exception,
    failed,
    outcome_of_ended,
    outcome_of_stop,
)
from agents.runtime.execution.pause import pause
from agents.runtime.execution.ports import RunHandle, Started
from agents.runtime.execution.run_context import RunContext, new_context, resumed_context
from agents.runtime.execution.run_executor import RunExecutor
from agents.runtime.loop.ports import LoopResult
from agents.runtime.model.metering import RunCancelled
from agents.runtime.model.subject import subject_of
from agents.runtime.response_cache.cache import HIT
from agents.schema.checkpoint import RunCheckpoint
from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_records import DuplicateRun
from agents.schema.run_request import RunRequest
from agents.schema.stored_items import client_view
from kernel import logs, metrics
from kernel.asgi import ClientLeft
from kernel.errors import Overloaded, PlatformError, UnstorableValue
from kernel.ids import new_id
from tenants.admission.gate import Admission, Subject
from tenants.admission.principal import Principal

log = logging.getLogger(__name__)

UNSTORED_LOG_SECONDS = 60
"""Time after its end for which the events of an unstored run can be resumed."""


class ActiveRun:
    """A run that this worker executes. `stop` may be called at any time; the run ends once."""

    def __init__(self, run: RunContext, dependencies: RunDependencies) -> None:
        self._dependencies = dependencies
        self._run = run
        run.log.on_taken_over = partial(self.stop, StopCause.LOST)
        self.id = run.id
        self.request = run.request
        self.principal = run.principal
        self.started: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        # Retrieve the exception: there may be no client left that awaits it.
        self.started.add_done_callback(lambda started: started.cancelled() or started.exception())
        self.finished = asyncio.Event()
        self.is_persisted = run.checkpoint is not None
        """Whether the table has the row of the run."""
        self.task: asyncio.Task[None] | None = None
        self.is_paused = False
        """Whether the run waits for approvals, held by no worker."""
        self.error: PlatformError | None = None
        subject = subject_of(
            run.target,
            principal=run.principal,
            door=run.request.door,
            client_request_id=run.id,
        )
        model = self._model_client(subject)
        self._executor = RunExecutor(
            run,
            dependencies,
            model=model,
            model_for=model.for_agent,
            subject=subject,
            on_cache_hit=self._on_cache_hit,
            persisted=self.persisted,
        )
        self._stop: StopCause | None = None
        self._is_running = False
        self._is_ending = False
        self._inserting: asyncio.Task[None] | None = None
        if run.checkpoint:
            self.started.set_result(Started(run_id=self.id))

    def _model_client(self, subject: Subject) -> ModelClient:
        run = self._run
        return ModelClient(
            self._dependencies,
            run.target.route,
            subject,
            usage=run.usage,
            on_admitted=self._on_model_admitted,
            stop_reason=lambda: as_exception(self._stop) if self._stop else None,
        )

    @property
    def route(self) -> str:
        """The name of the model route that serves the run."""
        return self._run.target.route.name

    @property
    def output(self) -> tuple[Item, ...]:
        """The output items so far, as they are stored and shown."""
        return client_view(self._run.recorder.events.output())

    def response(self, status: str) -> Json:
        """Return the response object without output."""
        return response_object(self._run.settings, status)

    def stop(self, reason: StopCause) -> None:
        """End the run for this reason. Has no effect if it is ending already."""
        if self._stop is None and not self._is_ending:
            self._stop = reason
            # A task that is cancelled before its first step would never reach its end.
            if self._is_running and self.task is not None:
                self.task.cancel()

    def on_client_disconnect(self) -> None:
        """Stop the run, unless it survives a disconnect of its client."""
        if not self.request.survives_disconnect:
            self.stop(StopCause.CLIENT_LEFT)

    async def execute(self, acquire: Callable[[], Awaitable[bool]]) -> None:
        """Execute the run from `acquire` to its end. Raises nothing: no caller awaits it.

        `acquire` returns when the run may start, and False if there is nothing to execute.
        """
        logs.request_id.set(self.id)
        logs.run.set(self.id)
        logs.tenant.set(self.principal.tenant)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._run.seconds_left, self.stop, StopCause.TIME_IS_UP)
        metrics.active_runs.inc()
        try:
            outcome = await self._outcome(acquire)
            if outcome is not None:
                await self._finish(outcome)
        finally:
            timer.cancel()
            metrics.active_runs.dec()
            if self.is_paused:
                await self._dependencies.log.hand_over(self._run.log)
            else:
                await self._dependencies.log.close(self._run.log)
            self.finished.set()

    # Start

    async def acquire(self, cancel: Cancel, *, behind: RunHandle | None) -> bool:
        """Wait until the run may start. False if it exists already, and was joined.

        Raises ConversationBusy, TooManyRuns, IdempotencyMismatch, and NotFound for a conversation
        or response that is not this tenant's.
        """
        run, pubsub = self._run, self._dependencies.pubsub
        if behind is None and not needs_queue(run.request):
            return True
        waits = behind is not None and not behind.finished.is_set()
        result, waits = await enqueue(run, cancel, waits=waits)
        if isinstance(result, DuplicateRun):
            ensure_same_request(run.request, result)
            self.started.set_result(Started(run_id=result.run_id, joined=True))
            return False
        self._mark_persisted()
        if waits:
            run.recorder.record(run.recorder.events.queued())
            self.started.set_result(Started(run_id=self.id))
            if behind is not None:
                await behind.finished.wait()
            await wait_until_claimed(run, pubsub)
        if run.request.conversation:
            await pubsub.notify(conversation_channel(run.request.conversation))
        return True

    def _mark_persisted(self) -> None:
        """Record that the row is inserted: from now on events may be published."""
        self.is_persisted = True
        self._run.log.start_writing()

    def _on_model_admitted(self, admission: Admission) -> None:
        self._run.usage.model_calls += 1
        self._start(admission)

    def _on_cache_hit(self, admission: Admission) -> None:
        self._start(admission, marks=(HIT,))

    def _start(self, admission: Admission, *, marks: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Start the run with its first admission: before that it may still be refused."""
        if self.started.done():
            return
        recorder = self._run.recorder
        recorder.record(recorder.events.created())
        self.started.set_result(Started(run_id=self.id, headers=[*admission.headers(), *marks]))
        if not self.is_persisted:
            # The engine works in the meantime.
            self._inserting = asyncio.create_task(self._insert())

    async def _insert(self) -> None:
        try:
            await self._dependencies.store.insert(self._run.as_new(waits=False))
        except (Overloaded, UnstorableValue):
            if self.request.store:
                self.stop(StopCause.NOT_STORED)
                return
            # The client of a run that is not to be stored needs the events more than the row.
            self._run.log.start_writing()
            return
        self._mark_persisted()

    async def persisted(self) -> bool:
        """Wait until the row is inserted. False if that failed."""
        if self._inserting is not None:
            # The insertion continues if the run is cancelled here.
            await asyncio.shield(self._inserting)
        return self.is_persisted

    # End

    async def _outcome(self, acquire: Callable[[], Awaitable[bool]]) -> RunOutcome | None:
        """Execute the run. Returns its outcome; None if it did not start, is paused, or was taken
        by another worker.

        This is the outermost edge of a run, which handles every error.
        """
        self._is_running = True
        try:
            if self._stop is not None:
                return await self._stopped(self._stop)
            if not await acquire():
                return None
            return await self._work()
        except PlatformError as error:
            return await self._failed(error)
        except (asyncio.CancelledError, RunCancelled, ClientLeft, RunLost) as error:
            is_lost = isinstance(error, RunLost)
            why = StopCause.LOST if is_lost else self._stop or StopCause.INTERRUPTED
            return await self._stopped(why)
        except Exception:
            # A bug: it must end this run, and nothing else.
            log.exception("runs: unexpected failure")
            return await self._failed(PlatformError())
        finally:
            self._is_ending = True

    async def _work(self) -> RunOutcome | None:
        if self.started.done():
            events = self._run.recorder.events
            is_new = events.number < 0
            self._run.recorder.record(events.created() if is_new else events.in_progress())
        ended = await self._executor.execute()
        if ended.state != "paused":
            return outcome_of_ended(ended)
        # From here on the table decides whether the run is paused or cancelled.
        self._is_ending = True
        return await self._pause(ended)

    async def _pause(self, ended: LoopResult) -> RunOutcome | None:
        reason = await pause(self._run, ended, checkpoint=self._executor.checkpoint)
        if reason is None:
            self.is_paused = True
            return None
        self._stop = reason
        return await self._stopped(reason)

    async def _failed(self, error: PlatformError) -> RunOutcome | None:
        if self.started.done():
            return failed(error)
        await self._refuse(error)
        return None

    async def _stopped(self, reason: StopCause) -> RunOutcome | None:
        if reason is StopCause.LOST or (reason is StopCause.RELEASED and await self._release()):
            await self._dependencies.log.take_over(self._run.log)
            return None
        outcome = outcome_of_stop(reason)
        if not self.started.done():
            await self._refuse(outcome.error or as_exception(reason))
            return None
        return outcome

    async def _release(self) -> bool:
        """Return the run to the run queue. False if no other worker can continue it."""
        run = self._run
        run.recorder.flush()
        await run.log.flushed()
        try:
            return run.log.is_durable and await run.store.release(run.id, run.worker)
        except Overloaded:
            return False

    async def _refuse(self, error: BaseException) -> None:
        """Delete the row of a run that did not start before the client gets the error, so that its
        conversation is free for the next run.
        """
        try:
            if self.is_persisted:
                await self._dependencies.store.discard(self.principal.tenant_id, self.id)
        finally:
            self.started.set_exception(error)

    async def _finish(self, outcome: RunOutcome) -> None:
        if self._inserting is not None:
            await self._inserting
            if self.request.store and not self.is_persisted and outcome.error is None:
                # The run ended before its insertion failed.
                outcome = outcome_of_stop(StopCause.NOT_STORED)
        self.error = outcome.error
        published = await finish(
            self._run,
            outcome,
            is_persisted=self.is_persisted,
            is_stopped=self._stop is not None,
            tool_calls=self._executor.tool_calls,
            is_cache_hit=self._executor.is_cache_hit,
        )
        if published is None:
            await self._dependencies.log.take_over(self._run.log)
            return
        self.error = published.error
        if self.request.conversation:
            await self._dependencies.pubsub.notify(conversation_channel(self.request.conversation))


def new_run(
    request: RunRequest, principal: Principal, target: ResolvedModel, dependencies: RunDependencies
) -> ActiveRun:
    """Return a run that starts, with a new id and a new log."""
    ttl = None if request.store else UNSTORED_LOG_SECONDS
    context = new_context(
        request,
        principal,
        target,
        log=dependencies.log.open(new_id("resp"), ttl=ttl),
        worker=dependencies.worker,
        store=dependencies.store,
    )
    return ActiveRun(context, dependencies)


def resumed_run(
    checkpoint: RunCheckpoint,
    principal: Principal,
    target: ResolvedModel,
    dependencies: RunDependencies,
    *,
    run_log: RunLog,
) -> ActiveRun:
    """Return a run that continues from `checkpoint` with its reopened log."""
    context = resumed_context(
        checkpoint,
        principal,
        target,
        log=run_log,
        worker=dependencies.worker,
        store=dependencies.store,
    )
    return ActiveRun(context, dependencies)
