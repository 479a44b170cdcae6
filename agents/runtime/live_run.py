"""One run on its way through this worker: its turn, its work, and its one end."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from agents.errors import RunNotKept
from agents.events.bell import bell_of_conversation
from agents.events.event import Json
from agents.events.feed import Feed
from agents.events.narrator import Narrator
from agents.events.response_object import response_object
from agents.events.responses import Frame, ResponseEvents
from agents.events.writer import RunLog
from agents.runtime.alone import keep_nothing, nobody_approves
from agents.runtime.cached_calls import CachedCalls, may_be_kept
from agents.runtime.catalog import RunLimits
from agents.runtime.create_run import CreateRun
from agents.runtime.delegates import TenantAgents
from agents.runtime.history import History
from agents.runtime.instructions import apply_agent
from agents.runtime.items import Item, StoredItem
from agents.runtime.kept_progress import KeptProgress
from agents.runtime.loop import run_agent
from agents.runtime.machinery import Machinery
from agents.runtime.metering import RunCancelled
from agents.runtime.model_calls import ModelCalls
from agents.runtime.open_calls import answered
from agents.runtime.outcome import (
    Outcome,
    RunLost,
    Stop,
    as_exception,
    failed,
    outcome_of_ended,
    outcome_of_stop,
    stop_named,
)
from agents.runtime.paused_run import PausedRun
from agents.runtime.ports import AskModel, Ended, Plan, Progress
from agents.runtime.resolution import Target
from agents.runtime.response_cache import HIT
from agents.runtime.run_port import Started
from agents.runtime.run_request import chat_of, row_of, settings_for
from agents.runtime.run_rows import EndedRun, NewRun, Pause
from agents.runtime.told import items_to_tell
from agents.runtime.tool_choice import offer_tools
from agents.runtime.tools.toolbox import KindToolbox
from inference.relay.parameters import ChatRequest
from kernel import logs, metrics
from kernel.asgi import ClientLeft
from kernel.errors import Overloaded, PlatformError
from kernel.ids import new_id
from tenants.admission.gate import Admission
from tenants.admission.principal import Principal

log = logging.getLogger(__name__)

T = TypeVar("T")

UNKEPT_LOG_SECONDS = 60
"""For which the events of a run that is not to be stored can still be resumed."""
FINISH_PATIENCE_SECONDS = 10.0
FINISH_PAUSE_SECONDS = 0.5
STOPPED = "Error: The run was stopped before the tool had answered."


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """How a run goes on that has waited for a person."""

    paused: PausedRun
    log: RunLog


class LiveRun:
    """A run that this worker executes. `stop` it whenever; it ends once."""

    def __init__(
        self,
        machinery: Machinery,
        create: CreateRun,
        principal: Principal,
        target: Target,
        *,
        again: Again | None = None,
    ) -> None:
        """`again`: it has waited for a person, and goes on."""
        paused = again.paused if again else None
        self.id = again.log.run_id if again else new_id("resp")
        self.create = create
        self.principal = principal
        self.target = target
        self.started: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self.has_row = False
        self.error: PlatformError | None = None
        """Why it failed, once it is over."""
        self.task: asyncio.Task[None] | None = None
        self.is_paused = False
        """Whether it waits for a person now, and is no worker's."""
        self._machinery = machinery
        self._paused = paused
        self._settings = paused.settings if paused else settings_for(create, run_id=self.id)
        ttl = None if create.store else UNKEPT_LOG_SECONDS
        self._log = again.log if again else machinery.log.open(self.id, ttl=ttl)
        events = (
            ResponseEvents(self._settings, number=paused.number, done=paused.items)
            if paused
            else ResponseEvents(self._settings)
        )
        self._narrator = Narrator(events, self._log)
        self._log.on_taken = lambda: self.stop(Stop.LOST)
        self._why: Stop | None = None
        self._is_running = False
        self._is_ending = False
        self._tool_calls = 0
        self._cached: CachedCalls | None = None
        self._kept: KeptProgress | None = None
        self._inserting: asyncio.Task[None] | None = None
        self._calls = ModelCalls(
            machinery,
            run_id=self.id,
            door=create.door,
            principal=principal,
            target=target,
            admitted=self._admitted,
            why_stopped=lambda: as_exception(self._why) if self._why else None,
        )
        if paused:
            self._calls.used, self._calls.count = paused.used, paused.calls
            self.has_row = True
            self.started.set_result(Started(run_id=self.id))
        # Nobody may be left who asks how it began.
        self.started.add_done_callback(lambda told: told.cancelled() or told.exception())

    def stop(self, why: Stop) -> None:
        """Make it end for this reason; harmless when it is ending."""
        if self._why is None and not self._is_ending:
            self._why = why
            # A task that is cancelled before its first step would never get to its end.
            if self._is_running and self.task is not None:
                self.task.cancel()

    @property
    def route(self) -> str:
        """The name of the model route that serves it."""
        return self.target.route.name

    @property
    def feed(self) -> Feed:
        """Its events, for readers in this process."""
        return self._log.feed

    def response(self, status: str) -> Json:
        """Its response object before it has made anything."""
        return response_object(self._settings, status)

    def leave(self) -> None:
        """Whoever asked for it has gone."""
        if not self.create.goes_on:
            self.stop(Stop.CLIENT_LEFT)

    def row(self, *, waits: bool) -> NewRun:
        """As the table gets it."""
        return row_of(
            self.create,
            self._settings,
            principal=self.principal,
            target=self.target,
            worker=self._machinery.worker,
            waits=waits,
        )

    def is_known(self, *, waits: bool) -> None:
        """The table has it, so that it may be told of."""
        self.has_row = True
        self._log.release()
        if waits:
            self._narrator.say(self._narrator.events.queued())
            self.started.set_result(Started(run_id=self.id))

    async def execute(self, take_turn: Callable[[], Awaitable[bool]]) -> None:
        """Work when it is its turn, and end. Never raises: it is nobody's call.

        `take_turn` answers False if there is nothing to do.
        """
        logs.request_id.set(self.id)
        logs.tenant.set(self.principal.tenant)
        spent = self._paused.progress.seconds if self._paused else 0.0
        seconds = max(0.0, self._limits.seconds - spent)
        alarm = asyncio.get_running_loop().call_later(seconds, self.stop, Stop.TIME_IS_UP)
        metrics.active_runs.inc()
        try:
            outcome = await self._outcome(take_turn)
            if outcome is not None:
                await self._end(outcome)
        finally:
            alarm.cancel()
            metrics.active_runs.dec()
            if self.is_paused:
                await self._machinery.log.hand_over(self._log)
            else:
                await self._machinery.log.close(self._log)
            self.over.set()

    @property
    def _limits(self) -> RunLimits:
        return self.target.agent.limits if self.target.agent else RunLimits()

    async def _outcome(self, take_turn: Callable[[], Awaitable[bool]]) -> Outcome | None:
        """How it ended; None if it never began or was taken away. The outermost edge of a run."""
        self._is_running = True
        try:
            if self._why is not None:
                return await self._stopped(self._why)
            if not await take_turn():
                return None
            return await self._work_or_wait()
        except PlatformError as error:
            return await self._failed(error)
        except (asyncio.CancelledError, RunCancelled, ClientLeft, RunLost):
            return await self._stopped(self._why or Stop.INTERRUPTED)
        except Exception:
            # A bug: it must end this run, and nothing else.
            log.exception("a run failed")
            return await self._failed(PlatformError())
        finally:
            self._is_ending = True

    async def _work_or_wait(self) -> Outcome | None:
        ended = await self._work()
        if ended.state != "paused":
            return outcome_of_ended(ended)
        # From here on the table decides whether it waits or is cancelled.
        self._is_ending = True
        return await self._pause(ended)

    async def _failed(self, error: PlatformError) -> Outcome | None:
        if self.started.done():
            return failed(error)
        await self._refuse(error)
        return None

    async def _refuse(self, error: BaseException) -> None:
        """It never began: nothing of it stays."""
        self.started.set_exception(error)
        if self.has_row:
            await self._machinery.store.discard(self.principal.tenant_id, self.id)

    async def _stopped(self, why: Stop) -> Outcome | None:
        if why is Stop.LOST:
            await self._machinery.log.take_over(self._log)
            return None
        outcome = outcome_of_stop(why)
        if not self.started.done():
            await self._refuse(outcome.error or as_exception(why))
            return None
        return outcome

    async def _work(self) -> Ended:
        if self.started.done():
            self._narrator.say(self._narrator.events.in_progress())
        box = await self._helpers().toolbox(self.target.agent)
        plan = self._paused.plan(self.target) if self._paused else await self._plan(box)
        self._kept = kept = KeptProgress(self, plan, self._machinery)
        ended = await run_agent(
            plan,
            ask=self._asking(plan.request),
            tools=box,
            tell=self._narrator,
            approvals=kept.ask_people if self.create.store else nobody_approves,
            checkpoint=kept.save if self.create.store else keep_nothing,
        )
        self._tool_calls = ended.progress.tool_calls
        return ended

    async def _plan(self, box: KindToolbox) -> Plan:
        create = self.create
        history = History()
        if create.conversation or create.previous_response:
            history = await self._machinery.store.history(
                self.principal.tenant_id,
                conversation=create.conversation,
                previous_response=create.previous_response,
            )
        told = await self._told(history)
        agent = self.target.agent
        offer = offer_tools(box.offer(), create.tools, create.tool_choice)
        request = msgspec.structs.replace(
            apply_agent(chat_of(msgspec.structs.replace(create, input=()), tuple(told)), agent),
            tools=list(offer.tools) or None,
            tool_choice=offer.choice,
        )
        return Plan(
            request=request,
            limits=self._limits,
            client_tools=offer.client_tools,
            agents=(agent.slug,) if agent else (),
        )

    async def is_begun(self) -> bool:
        """Whether the table has it. False also if it could not be put there."""
        if self._inserting is not None:
            # A run that is cancelled here is in the table all the same.
            await asyncio.shield(self._inserting)
        return self.has_row

    def paused(self, plan: Plan, progress: Progress, items: Sequence[Item]) -> PausedRun:
        """What another worker needs to go on from here."""
        agent, request = self.target.agent, plan.request
        return PausedRun(
            create=self.create,
            settings=self._settings,
            key=self.principal.public_id,
            agent=agent.slug if agent else "",
            revision=agent.revision if agent else 0,
            request=msgspec.structs.replace(request, messages=request.messages[:1], tools=None),
            messages=tuple(request.messages),
            tools=tuple(request.tools or ()),
            client_tools=plan.client_tools,
            items=tuple(items),
            progress=progress,
            used=self._calls.used,
            calls=self._calls.count,
            number=self._narrator.events.number,
        )

    async def _pause(self, ended: Ended) -> Outcome | None:
        """Wait for people, held by no worker; or end, if it was cancelled in this moment."""
        self._narrator.flush()
        self._narrator.say(self._narrator.events.paused(self._calls.used))
        # Nobody may go on with it before this log is written.
        await self._log.written_down()
        assert self._kept is not None, "only runs that are stored wait"
        pause = Pause(
            id=self.id,
            worker=self._machinery.worker,
            checkpoint=self._kept.text(ended.progress, ended.items),
            usage=self._calls.used,
            steps=self._calls.count,
            tool_calls=ended.progress.tool_calls,
        )
        why = await self._patiently(lambda: self._machinery.store.pause(pause))
        if why is None:
            self.is_paused = True
            return None
        self._why = Stop.LOST if why == "lost" else stop_named(why)
        return await self._stopped(self._why)

    def _asking(self, request: ChatRequest) -> AskModel:
        """Who answers: a model, or what one said before."""
        agent, place = self.target.agent, self.create.conversation or self.id
        if agent is None or not may_be_kept(request, agent):
            return self._calls
        self._cached = CachedCalls(
            self._calls,
            gate=self._machinery.gate,
            answers=self._machinery.answers,
            subject=self._calls.subject,
            agent=agent,
            tag=place if self.create.store else "",
            admitted=partial(self._admitted, marks=(HIT,)),
        )
        return self._cached

    def _helpers(self) -> TenantAgents:
        """Other agents that may take part; each of their model calls counts for this run."""
        machinery = self._machinery
        return TenantAgents(
            machinery.workshop,
            principal=self.principal,
            catalog=machinery.catalog,
            fleet=machinery.fleet,
            ask_as=self._calls.asked_as,
        )

    async def _told(self, history: History) -> Sequence[Item]:
        """What of the history and the input the route's context takes."""
        machinery, route = self._machinery, self.target.route.name
        return await items_to_tell(
            self.create,
            history,
            target=self.target,
            estimate=partial(machinery.gate.estimate_prompt, route),
            ask=self._calls,
            keep_summary=partial(machinery.store.keep_summary, self.principal.tenant_id),
        )

    def _admitted(self, admission: Admission, *, marks: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """The first call may be made: only now the run exists."""
        if self.started.done():
            return
        self._narrator.say(self._narrator.events.created())
        self.started.set_result(Started(run_id=self.id, headers=[*admission.headers(), *marks]))
        if not self.has_row:
            # The engine works meanwhile.
            self._inserting = asyncio.create_task(self._insert())

    async def _insert(self) -> None:
        try:
            await self._machinery.store.begin(self.row(waits=False))
        except Overloaded:
            if self.create.store:
                self.stop(Stop.NOT_KEPT)
                return
            # Nothing of it was to be kept: it needs the table less than its client needs it.
            self._log.release()
            return
        self.is_known(waits=False)

    async def _end(self, outcome: Outcome) -> None:
        self.error = outcome.error
        if self._inserting is not None:
            await self._inserting
        self._narrator.flush()
        frames = self._last_frames(outcome)
        if self.has_row:
            try:
                won = await self._keep(outcome)
            except Overloaded:
                frames = self._unless_unkept(frames)
            else:
                if not won:
                    await self._machinery.log.take_over(self._log)
                    return
        self._narrator.end(frames)
        await self._log.written_down()
        if self.create.conversation:
            await self._machinery.bell.ring(bell_of_conversation(self.create.conversation))

    def _last_frames(self, outcome: Outcome) -> list[Frame]:
        events, now, used = self._narrator.events, int(time.time()), self._calls.used
        if outcome.error is not None:
            return events.failed(outcome.error, now=now)
        if outcome.state == "completed":
            return events.completed(used, now=now)
        reason = "cancelled" if outcome.state == "cancelled" else outcome.reason
        return events.incomplete(used, reason=reason, now=now)

    def _unless_unkept(self, frames: list[Frame]) -> list[Frame]:
        """What was to be stored and could not be must not be told as done."""
        if not self.create.store:
            return frames
        number = frames[-1]["sequence_number"]
        self.error = RunNotKept(retry_after=1)
        (last,) = self._narrator.events.failed(self.error, now=int(time.time()))
        return [*frames[:-1], {**last, "sequence_number": number}]

    async def _keep(self, outcome: Outcome) -> bool:
        """Write the end into the table, with patience. Raises Overloaded."""
        error = outcome.error
        problem = None if error is None else {"code": error.code, "message": error.message}
        ended = EndedRun(
            id=self.id,
            tenant_id=self.principal.tenant_id,
            worker=self._machinery.worker,
            state=outcome.state,
            usage=self._calls.used,
            conversation=self.create.conversation,
            error=problem,
            reason=outcome.reason,
            steps=self._calls.count,
            tool_calls=self._tool_calls,
            cache_hit=self._cached is not None and self._cached.is_hit,
            items=self._items() if self.create.store else (),
        )
        return await self._patiently(lambda: self._machinery.store.finish(ended))

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the table again for a while, should it be away. Raises Overloaded."""
        deadline = time.monotonic() + (FINISH_PATIENCE_SECONDS if self.create.store else 0)
        while True:
            try:
                return await ask()
            except Overloaded:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(FINISH_PAUSE_SECONDS)

    def _items(self) -> tuple[StoredItem, ...]:
        brought = (StoredItem(item=item, is_input=True) for item in self.create.input)
        output = self._narrator.events.output()
        # Engines refuse a history with calls that nothing answers.
        closed = answered(output, note=STOPPED) if self._why else ()
        return (*brought, *(StoredItem(item=item) for item in (*output, *closed)))
