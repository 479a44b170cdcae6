"""Starts runs, keeps them alive, cancels them, and lets them finish when the worker ends.

A run is not a connection: it belongs to the worker. Doors start runs, and follow their events.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from agents.errors import Interrupted, NotResumable
from agents.events.event import Event
from agents.events.pubsub import conversation_channel, worker_channel
from agents.events.replay import end_frame, rebuilt_events
from agents.redis_keys import APPROVALS
from agents.runtime.execution.active_run import LiveRun
from agents.runtime.execution.conversation_queue import acquire
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.outcome import Stop
from agents.runtime.execution.ports import ActiveRun
from agents.runtime.execution.run_context import Resumption
from agents.runtime.execution.target import target_of
from agents.runtime.pausing.checkpoint import RunCheckpoint, load_checkpoint
from agents.runtime.pausing.resume import reload_principal, resolve_same_revision
from agents.schema.run_records import RENEW_SECONDS, ROLLBACK, UNDECIDED, EndedRun, RunRecord
from agents.schema.run_request import RunRequest
from kernel.errors import Overloaded, PlatformError
from tenants.admission.principal import Principal
from tenants.admission.usage.records import Usage

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
LOOK_SECONDS = 5.0
"""After which runs that waited are looked for."""
LAST_WORDS_SECONDS = 15.0
"""At the end of the worker, for runs that are interrupted to say so."""
FIRST_WORD_SECONDS = 15.0
"""From the table to the log, which waits for admission."""
FIRST_WORD_PAUSE_SECONDS = 0.02


class Runner:
    """The runs of this worker, and the way to those of others."""

    def __init__(self, dependencies: RunDependencies) -> None:
        self._dependencies = dependencies
        self.pubsub = dependencies.pubsub
        self._runs: dict[str, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_leaving = False

    def __len__(self) -> int:
        return len(self._runs)

    async def start(
        self, principal: Principal, create: RunRequest, *, behind: ActiveRun | None = None
    ) -> LiveRun:
        """A run that goes on by itself. Its `started` says when it may be told of, or why not.

        `behind`: another run that has to end first. Raises what `target_of` raises.
        """
        dependencies = self._dependencies
        target = await target_of(dependencies, principal, create)
        run = LiveRun(dependencies, create, principal, target)

        async def cancel(run_id: str, why: Stop) -> None:
            await self.cancel(run.principal.tenant_id, run_id, why=why)

        self._begin(run, lambda: acquire(run, dependencies, cancel, behind=behind))
        return run

    def _begin(self, run: LiveRun, claim: Callable[[], Awaitable[bool]]) -> None:
        self._runs[run.id] = run
        run.task = self._spawn(self._execute(run, claim))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # Without the caller's context: the request may end, and its logs and locals with it.
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _execute(self, run: LiveRun, claim: Callable[[], Awaitable[bool]]) -> None:
        try:
            await run.execute(claim)
        finally:
            del self._runs[run.id]
        if run.is_paused:
            # Somebody may have decided before it waited.
            await self.go_on(run.id)

    async def cancel(self, tenant_id: int, run_id: str, *, why: Stop = Stop.CANCELLED) -> RunRecord:
        """Cancel a run, wherever it is. Harmless when it has ended. Raises NotFound."""
        known = await self._dependencies.store.ask_cancel(tenant_id, run_id, why.value)
        if known.is_over:
            await self._tell_end(known)
        elif not self.stop(run_id, why):
            await self._dependencies.pubsub.notify(
                worker_channel(known.worker), f"{run_id} {why.value}"
            )
        return known

    async def forget_log(self, run_id: str) -> None:
        """Nobody can read its events any more."""
        await self._dependencies.log.delete(run_id)

    async def go_on(self, run_id: str) -> None:
        """Go on with a run about which everything is decided, unless another worker does."""
        if self._is_leaving or run_id in self._runs:
            return
        store = self._dependencies.store
        try:
            found = await store.load_decided(run_id)
            if found is not None:
                await self._take_up(run_id, *found)
        except Overloaded as error:
            log.warning("runs: resume failed, tried again later (error=%s)", error.code)

    async def _take_up(self, run_id: str, tenant_id: int, checkpoint: str) -> None:
        """Raises Overloaded, with nothing taken up."""
        dependencies, paused = self._dependencies, load_checkpoint(checkpoint)
        if paused is None:
            await self._fail(run_id, tenant_id, Interrupted(retry_after=1), None)
            return
        try:
            principal = await reload_principal(dependencies, paused)
            target = await resolve_same_revision(dependencies, principal, paused)
        except Overloaded:
            raise
        except PlatformError as error:
            await self._fail(run_id, tenant_id, error, paused)
            return
        if not await dependencies.store.claim_decided(run_id, dependencies.worker):
            return
        again = Resumption(
            paused=paused, log=await dependencies.log.reopen(run_id, written=paused.number + 1)
        )
        run = LiveRun(dependencies, paused.create, principal, target, again=again)
        self._begin(run, run.is_begun)

    async def _fail(
        self, run_id: str, tenant_id: int, error: PlatformError, paused: RunCheckpoint | None
    ) -> None:
        """End a run that cannot go on."""
        dependencies = self._dependencies
        if not await dependencies.store.claim_decided(run_id, dependencies.worker):
            return
        await dependencies.store.finish(
            EndedRun(
                id=run_id,
                tenant_id=tenant_id,
                worker=dependencies.worker,
                state="failed",
                usage=paused.used if paused else Usage(),
                error={"code": error.code, "message": error.message},
                steps=paused.calls if paused else 0,
                tool_calls=paused.progress.tool_calls if paused else 0,
                items=paused.kept_items(note=UNDECIDED) if paused else (),
            )
        )
        await self._tell_end(await dependencies.store.load(tenant_id, run_id))

    async def _tell_end(self, known: RunRecord) -> None:
        """Of a run that no worker runs."""
        await self._dependencies.log.end(known.id, end_frame(known))
        if known.conversation:
            await self._dependencies.pubsub.notify(conversation_channel(known.conversation))

    def stop(self, run_id: str, why: Stop) -> bool:
        """Stop a run of this worker. False if it is not here."""
        run = self._runs.get(run_id)
        if run is not None:
            run.stop(why)
        return run is not None

    def hear(self, message: str) -> None:
        """Another worker was asked to cancel one of our runs."""
        run_id, _, why = message.partition(" ")
        if run_id:
            self.stop(run_id, Stop.ROLLED_BACK if why == ROLLBACK else Stop.CANCELLED)

    async def follow(
        self, tenant_id: int, run_id: str, *, after: int = -1
    ) -> AsyncGenerator[Sequence[Event]]:
        """The events of a run beyond number `after`, up to its last one, wherever it runs.

        Raises NotFound, InvalidParameter beyond the log, and NotResumable.
        """
        run = self._runs.get(run_id)
        if run is None or run.principal.tenant_id != tenant_id or not run.started.done():
            await self._dependencies.store.load(tenant_id, run_id)
        last = after
        while True:
            try:
                async with aclosing(self._dependencies.log.follow(run_id, after=after)) as batches:
                    async for events in batches:
                        last = events[-1].number
                        yield events
            except NotResumable:
                known = await self._dependencies.store.load(tenant_id, run_id)
                if known.is_over and known.store:
                    yield rebuilt_events(known, after=last)
                    return
                if known.is_over or last >= 0 or not is_new(known):
                    raise
            else:
                return
            # It is in the table, and about to say its first word.
            await asyncio.sleep(FIRST_WORD_PAUSE_SECONDS)

    async def run(self) -> None:
        """Keep the runs alive until cancelled."""
        with self._dependencies.pubsub.heard(worker_channel(self._dependencies.worker), self.hear):
            while True:
                try:
                    await self._renew()
                except Overloaded as error:
                    log.warning("runs: leases not renewed (runs=%d, error=%s)", len(self), error)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    await asyncio.sleep(RENEW_SECONDS)

    async def go_on_with_decided(self) -> None:
        """Take up runs that waited for a person, until cancelled: when told, and from time to time,
        for what is told may be lost.
        """
        with self._dependencies.pubsub.heard(APPROVALS, self._hear_decision):
            while True:
                try:
                    for run_id in await self._dependencies.store.find_decided():
                        await self.go_on(run_id)
                except Overloaded as error:
                    log.warning(
                        "runs: decided runs not read, tried again later (error=%s)", error.code
                    )
                await asyncio.sleep(LOOK_SECONDS)

    def _hear_decision(self, message: str) -> None:
        run_id, _, _ = message.partition(" ")
        if run_id:
            self._spawn(self.go_on(run_id))

    async def _renew(self) -> None:
        mine = [run_id for run_id, run in self._runs.items() if run.has_row]
        if not mine:
            return
        wishes = await self._dependencies.store.renew(self._dependencies.worker, mine)
        for run_id in mine:
            why = wishes.get(run_id)
            if why is None:
                self.stop(run_id, Stop.LOST)
            elif why:
                self.hear(f"{run_id} {why}")

    async def drain(self, *, seconds: float) -> None:
        """Let runs finish; those that are left then end as failed, and say so."""
        self._is_leaving = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for run in tuple(self._runs.values()):
            run.stop(Stop.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS)


def is_new(run: RunRecord) -> bool:
    return time.time() - run.created_at < FIRST_WORD_SECONDS
