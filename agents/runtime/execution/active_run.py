"""One run on its way through this worker: its turn, its work, and its one end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from agents.events.buffer import EventBuffer
from agents.events.pubsub import conversation_channel
from agents.events.response_object import response_object
from agents.runtime.catalog.model_resolution import Target
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.finish import RunFinisher
from agents.runtime.execution.mapping import settings_for
from agents.runtime.execution.model_client import ModelClient
from agents.runtime.execution.outcome import (
    Outcome,
    RunLost,
    Stop,
    as_exception,
    failed,
    outcome_of_ended,
    outcome_of_stop,
)
from agents.runtime.execution.ports import Started
from agents.runtime.execution.run_context import Resumption, RunContext, make_recorder
from agents.runtime.execution.run_executor import RunExecutor
from agents.runtime.loop.ports import LoopResult
from agents.runtime.model.metering import RunCancelled
from agents.runtime.pausing.pause import pause
from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_records import NewRun
from agents.schema.run_request import RunRequest
from agents.schema.stored_items import shown_items
from kernel import logs, metrics
from kernel.asgi import ClientLeft
from kernel.errors import Overloaded, PlatformError
from kernel.ids import new_id
from tenants.admission.gate import Admission
from tenants.admission.principal import Principal

log = logging.getLogger(__name__)


UNKEPT_LOG_SECONDS = 60
"""For which the events of a run that is not to be stored can still be resumed."""


class LiveRun:
    """A run that this worker executes. `stop` it whenever; it ends once."""

    def __init__(
        self,
        dependencies: RunDependencies,
        create: RunRequest,
        principal: Principal,
        target: Target,
        *,
        again: Resumption | None = None,
    ) -> None:
        """`again`: it has waited for a person, and goes on."""
        self._dependencies = dependencies
        self._run = run = self._build_context(create, principal, target, again)
        run.log.on_taken = lambda: self.stop(Stop.LOST)
        self.id = run.id
        self.create = create
        self.principal = principal
        self.target = target
        self.started: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        # Nobody may be left who asks how it began.
        self.started.add_done_callback(lambda started: started.cancelled() or started.exception())
        self.over = asyncio.Event()
        self.has_row = again is not None
        self.task: asyncio.Task[None] | None = None
        self.is_paused = False
        """Whether it waits for a person now, and is no worker's."""
        self._work = RunExecutor(run, dependencies, admitted=self._admitted, is_begun=self.is_begun)
        self._end: RunFinisher | None = None
        self._why: Stop | None = None
        self._is_running = False
        self._is_ending = False
        self._inserting: asyncio.Task[None] | None = None
        if again:
            self.started.set_result(Started(run_id=self.id))

    def _build_context(
        self, create: RunRequest, principal: Principal, target: Target, again: Resumption | None
    ) -> RunContext:
        dependencies, paused = self._dependencies, again.paused if again else None
        ttl = None if create.store else UNKEPT_LOG_SECONDS
        run_log = again.log if again else dependencies.log.open(new_id("resp"), ttl=ttl)
        calls = ModelClient(
            dependencies,
            run_id=run_log.run_id,
            door=create.door,
            principal=principal,
            target=target,
            admitted=self._admitted,
            why_stopped=lambda: as_exception(self._why) if self._why else None,
        )
        settings = settings_for(create, run_id=run_log.run_id, target=target)
        if paused:
            settings = paused.settings
            calls.used, calls.count = paused.used, paused.calls
        return RunContext(
            worker=dependencies.worker,
            store=dependencies.store,
            create=create,
            principal=principal,
            target=target,
            settings=settings,
            log=run_log,
            recorder=make_recorder(run_log, settings, paused),
            calls=calls,
            paused=paused,
        )

    @property
    def route(self) -> str:
        """The name of the model route that serves it."""
        return self.target.route.name

    @property
    def feed(self) -> EventBuffer:
        """Its events, for readers in this process."""
        return self._run.log.feed

    @property
    def error(self) -> PlatformError | None:
        """Why it failed, once it is over."""
        return self._end.error if self._end else None

    @property
    def made(self) -> tuple[Item, ...]:
        """What it has made by now, as it is stored and shown."""
        return shown_items(self._run.recorder.events.output())

    def response(self, status: str) -> Json:
        """Its response object before it has made anything."""
        return response_object(self._run.settings, status)

    def stop(self, why: Stop) -> None:
        """Make it end for this reason; harmless when it is ending."""
        if self._why is None and not self._is_ending:
            self._why = why
            # A task that is cancelled before its first step would never get to its end.
            if self._is_running and self.task is not None:
                self.task.cancel()

    def leave(self) -> None:
        """Whoever asked for it has gone."""
        if not self.create.goes_on:
            self.stop(Stop.CLIENT_LEFT)

    async def execute(self, claim: Callable[[], Awaitable[bool]]) -> None:
        """Work when it is its turn, and end. Never raises: it is nobody's call.

        `claim` answers False if there is nothing to do.
        """
        logs.request_id.set(self.id)
        logs.tenant.set(self.principal.tenant)
        loop = asyncio.get_running_loop()
        alarm = loop.call_later(self._run.seconds_left, self.stop, Stop.TIME_IS_UP)
        metrics.active_runs.inc()
        try:
            outcome = await self._outcome(claim)
            if outcome is not None:
                await self._tell_end(outcome)
        finally:
            alarm.cancel()
            metrics.active_runs.dec()
            if self.is_paused:
                await self._dependencies.log.hand_over(self._run.log)
            else:
                await self._dependencies.log.close(self._run.log)
            self.over.set()

    # How it begins

    def row(self, *, waits: bool) -> NewRun:
        """As the table gets it."""
        return self._run.as_new(waits=waits)

    def is_known(self, *, waits: bool) -> None:
        """The table has it, so that it may be told of."""
        self.has_row = True
        self._run.log.release()
        if waits:
            recorder = self._run.recorder
            recorder.say(recorder.events.queued())
            self.started.set_result(Started(run_id=self.id))

    def _admitted(self, admission: Admission, *, marks: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """The first call may be made: only now the run exists."""
        if self.started.done():
            return
        recorder = self._run.recorder
        recorder.say(recorder.events.created())
        self.started.set_result(Started(run_id=self.id, headers=[*admission.headers(), *marks]))
        if not self.has_row:
            # The engine works meanwhile.
            self._inserting = asyncio.create_task(self._insert())

    async def _insert(self) -> None:
        try:
            await self._dependencies.store.begin(self.row(waits=False))
        except Overloaded:
            if self.create.store:
                self.stop(Stop.NOT_KEPT)
                return
            # Nothing of it was to be kept: it needs the table less than its client needs it.
            self._run.log.release()
            return
        self.is_known(waits=False)

    async def is_begun(self) -> bool:
        """Whether the table has it. False also if it could not be put there."""
        if self._inserting is not None:
            # A run that is cancelled here is in the table all the same.
            await asyncio.shield(self._inserting)
        return self.has_row

    # How it ends

    async def _outcome(self, claim: Callable[[], Awaitable[bool]]) -> Outcome | None:
        """How it ended; None if it never began, waits, or was taken away. The outermost edge of a
        run.
        """
        self._is_running = True
        try:
            if self._why is not None:
                return await self._stopped(self._why)
            if not await claim():
                return None
            return await self._work_or_wait()
        except PlatformError as error:
            return await self._failed(error)
        except (asyncio.CancelledError, RunCancelled, ClientLeft, RunLost):
            return await self._stopped(self._why or Stop.INTERRUPTED)
        except Exception:
            # A bug: it must end this run, and nothing else.
            log.exception("runs: unexpected failure")
            return await self._failed(PlatformError())
        finally:
            self._is_ending = True

    async def _work_or_wait(self) -> Outcome | None:
        if self.started.done():
            recorder = self._run.recorder
            recorder.say(recorder.events.in_progress())
        ended = await self._work.to_end()
        if ended.state != "paused":
            return outcome_of_ended(ended)
        # From here on the table decides whether it waits or is cancelled.
        self._is_ending = True
        return await self._wait(ended)

    async def _wait(self, ended: LoopResult) -> Outcome | None:
        why = await pause(self._run, ended, checkpoint=self._work.checkpoint)
        if why is None:
            self.is_paused = True
            return None
        self._why = why
        return await self._stopped(why)

    async def _failed(self, error: PlatformError) -> Outcome | None:
        if self.started.done():
            return failed(error)
        await self._refuse(error)
        return None

    async def _stopped(self, why: Stop) -> Outcome | None:
        if why is Stop.LOST:
            await self._dependencies.log.take_over(self._run.log)
            return None
        outcome = outcome_of_stop(why)
        if not self.started.done():
            await self._refuse(outcome.error or as_exception(why))
            return None
        return outcome

    async def _refuse(self, error: BaseException) -> None:
        """It never began: nothing of it stays, so that its conversation is free for the next one
        before the client knows.
        """
        try:
            if self.has_row:
                await self._dependencies.store.discard(self.principal.tenant_id, self.id)
        finally:
            self.started.set_exception(error)

    async def _tell_end(self, outcome: Outcome) -> None:
        if self._inserting is not None:
            await self._inserting
            if self.create.store and not self.has_row and outcome.error is None:
                # It ended before it was known that the table does not take it.
                outcome = outcome_of_stop(Stop.NOT_KEPT)
        self._end = RunFinisher(
            self._run,
            outcome,
            is_cut=self._why is not None,
            tool_calls=self._work.tool_calls,
            is_hit=self._work.is_hit,
        )
        if not await self._end.tell(has_row=self.has_row):
            await self._dependencies.log.take_over(self._run.log)
        elif self.create.conversation:
            await self._dependencies.pubsub.notify(conversation_channel(self.create.conversation))
