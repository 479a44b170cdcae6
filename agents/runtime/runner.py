"""Starts runs, keeps them alive, cancels them, and lets them finish when the worker ends.

A run is not a connection: it belongs to the worker. Doors start runs, and follow their events.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from agents.errors import NotResumable
from agents.events.bell import bell_of_worker
from agents.events.event import Event
from agents.events.rebuilt import end_frame, rebuilt_events
from agents.runtime.create_run import CreateRun
from agents.runtime.live_run import LiveRun
from agents.runtime.machinery import Machinery
from agents.runtime.outcome import Stop
from agents.runtime.run_port import ActiveRun
from agents.runtime.run_rows import RENEW_SECONDS, ROLLBACK, KnownRun
from agents.runtime.run_target import target_of
from agents.runtime.turns import take_turn
from kernel.errors import Overloaded
from tenants.admission.principal import Principal

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
LAST_WORDS_SECONDS = 15.0
"""At the end of the worker, for runs that are interrupted to say so."""
FIRST_WORD_SECONDS = 15.0
"""From the table to the log, which waits for admission."""
FIRST_WORD_PAUSE_SECONDS = 0.02


class Runner:
    """The runs of this worker, and the way to those of others."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self.bell = machinery.bell
        self._runs: dict[str, LiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._runs)

    async def start(
        self, principal: Principal, create: CreateRun, *, behind: ActiveRun | None = None
    ) -> LiveRun:
        """A run that goes on by itself. Its `started` says when it may be told of, or why not.

        `behind`: another run that has to end first. Raises what `target_of` raises.
        """
        machinery = self._machinery
        target = await target_of(machinery, principal, create)
        run = LiveRun(machinery, create, principal, target)
        self._runs[run.id] = run
        # Without the caller's context: the request may end, and its logs and locals with it.
        run.task = asyncio.get_running_loop().create_task(
            self._execute(run, behind), context=contextvars.Context()
        )
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)
        return run

    async def _execute(self, run: LiveRun, behind: ActiveRun | None) -> None:
        async def cancel(run_id: str, why: Stop) -> None:
            await self.cancel(run.principal.tenant_id, run_id, why=why)

        try:
            await run.execute(lambda: take_turn(run, self._machinery, cancel, behind=behind))
        finally:
            del self._runs[run.id]

    async def cancel(self, tenant_id: int, run_id: str, *, why: Stop = Stop.CANCELLED) -> KnownRun:
        """Cancel a run, wherever it is. Harmless when it has ended. Raises NotFound."""
        known = await self._machinery.store.ask_cancel(tenant_id, run_id, why.value)
        if known.is_over:
            frame = end_frame(known)
            await self._machinery.log.end(run_id, frame)
        elif not self.stop(run_id, why):
            await self._machinery.bell.ring(bell_of_worker(known.worker), f"{run_id} {why.value}")
        return known

    async def forget_log(self, run_id: str) -> None:
        """Nobody can read its events any more."""
        await self._machinery.log.delete(run_id)

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
            await self._machinery.store.load(tenant_id, run_id)
        last = after
        while True:
            try:
                async with aclosing(self._machinery.log.follow(run_id, after=after)) as batches:
                    async for events in batches:
                        last = events[-1].number
                        yield events
            except NotResumable:
                known = await self._machinery.store.load(tenant_id, run_id)
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
        with self._machinery.bell.heard(bell_of_worker(self._machinery.worker), self.hear):
            while True:
                try:
                    await self._renew()
                except Overloaded as error:
                    log.warning("the leases of %d runs are not renewed: %s", len(self), error)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    await asyncio.sleep(RENEW_SECONDS)

    async def _renew(self) -> None:
        mine = [run_id for run_id, run in self._runs.items() if run.has_row]
        if not mine:
            return
        wishes = await self._machinery.store.renew(self._machinery.worker, mine)
        for run_id in mine:
            why = wishes.get(run_id)
            if why is None:
                self.stop(run_id, Stop.LOST)
            elif why:
                self.hear(f"{run_id} {why}")

    async def drain(self, *, seconds: float) -> None:
        """Let runs finish; those that are left then end as failed, and say so."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for run in tuple(self._runs.values()):
            run.stop(Stop.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LAST_WORDS_SECONDS)


def is_new(run: KnownRun) -> bool:
    return time.time() - run.created_at < FIRST_WORD_SECONDS
