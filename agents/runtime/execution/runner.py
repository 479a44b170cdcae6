"""Starts runs, renews their leases, cancels them, and lets them finish when the worker ends.

A run belongs to the worker, not to a connection: doors start runs, and follow their events.
"""

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from agents.errors import Interrupted, NotResumable
from agents.events.event import Event
from agents.events.pubsub import conversation_channel, worker_channel
from agents.events.replay import end_frame, rebuilt_events
from agents.redis_keys import APPROVALS
from agents.runtime.execution.active_run import ActiveRun, new_run, resumed_run
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.outcome import StopCause
from agents.runtime.execution.ports import RunHandle
from agents.runtime.execution.resume import reload_principal, resolve_same_revision
from agents.runtime.execution.target import resolve_target
from agents.schema.checkpoint import RunCheckpoint, load_checkpoint
from agents.schema.run_records import (
    RENEW_SECONDS,
    ROLLBACK,
    UNDECIDED,
    ClaimedRun,
    EndedRun,
    RunRecord,
)
from agents.schema.run_request import RunRequest
from kernel.errors import Overloaded, PlatformError
from tenants.admission.principal import Principal
from tenants.admission.usage.records import Usage

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
POLL_SECONDS = 5.0
"""Interval of searches for paused runs whose approvals are decided."""
INTERRUPT_TIMEOUT_SECONDS = 15.0
"""Timeout for interrupted runs to publish their failure when the worker ends."""
FIRST_EVENT_TIMEOUT_SECONDS = 15.0
"""Maximum time between the row of a run and its first event, which follows its admission."""
FIRST_EVENT_POLL_SECONDS = 0.02


class Runner:
    """The runs of this worker, and access to those of other workers."""

    def __init__(self, dependencies: RunDependencies) -> None:
        self._dependencies = dependencies
        self.pubsub = dependencies.pubsub
        self._runs: dict[str, ActiveRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = False

    def __len__(self) -> int:
        return len(self._runs)

    async def start(
        self, principal: Principal, request: RunRequest, *, behind: RunHandle | None = None
    ) -> ActiveRun:
        """Start a run, which continues without its caller. Its `started` resolves when it starts.

        `behind`: another run that must finish first. Raises what `resolve_target` raises.
        """
        target = await resolve_target(self._dependencies, principal, request)
        run = new_run(request, principal, target, self._dependencies)

        async def cancel(run_id: str, why: StopCause) -> None:
            await self.cancel(principal.tenant_id, run_id, why=why)

        self._launch(run, partial(run.acquire, cancel, behind=behind))
        return run

    def _launch(self, run: ActiveRun, acquire: Callable[[], Awaitable[bool]]) -> None:
        self._runs[run.id] = run
        run.task = self._spawn(self._execute(run, acquire))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # Without the caller's context: the request may end, and its logs and locals with it.
        task = asyncio.get_running_loop().create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _execute(self, run: ActiveRun, acquire: Callable[[], Awaitable[bool]]) -> None:
        try:
            await run.execute(acquire)
        finally:
            del self._runs[run.id]
        if run.is_paused:
            # The approvals may have been decided before the run was paused.
            await self.resume(run.id)
            await self.pubsub.notify(APPROVALS, run.id)

    @property
    def _has_nodes(self) -> bool:
        return self._dependencies.count_nodes() > 0

    async def cancel(
        self, tenant_id: int, run_id: str, *, why: StopCause = StopCause.CANCELLED
    ) -> RunRecord:
        """Cancel a run of any worker. Harmless when it has ended. Raises NotFound."""
        record = await self._dependencies.store.request_cancel(tenant_id, run_id, why.value)
        if record.is_over:
            await self._publish_end(record)
        elif not self.stop(run_id, why):
            await self._dependencies.pubsub.notify(
                worker_channel(record.worker), f"{run_id} {why.value}"
            )
        return record

    async def cancel_for(self, tenant_id: int, run_id: str, why: StopCause) -> None:
        """Cancel a run for this cause."""
        await self.cancel(tenant_id, run_id, why=why)

    async def forget_log(self, run_id: str) -> None:
        """Delete the event log of a run."""
        await self._dependencies.log.delete(run_id)

    async def resume(self, run_id: str) -> None:
        """Resume a paused run whose approvals are decided, unless another worker does.

        If there are agent nodes, a gateway leaves it to them.
        """
        if self._is_draining or run_id in self._runs:
            return
        if self._has_nodes and not self._dependencies.is_agent_node:
            return
        store, worker = self._dependencies.store, self._dependencies.worker
        try:
            found = await store.load_decided(run_id)
            if found is not None and self._is_placed_here(*found):
                await self._continue(run_id, *found, partial(store.claim_decided, run_id, worker))
        except Overloaded as error:
            log.warning("runs: resume failed, tried again later (error=%s)", error.code)

    def _is_placed_here(self, tenant_id: int, text: str) -> bool:
        checkpoint = load_checkpoint(text)
        if checkpoint is None:
            return True  # it ends at once, on any worker
        return self._dependencies.may_execute(tenant_id, checkpoint.agent)

    async def execute_claimed(self, claimed: ClaimedRun) -> ActiveRun | None:
        """Execute a run of the run queue that this worker has claimed, from its checkpoint.

        None if the run cannot be executed, which ends it, or not now, which releases it.
        """
        if earlier := self._runs.get(claimed.id):
            # This worker has lost the run, and is about to notice.
            earlier.stop(StopCause.LOST)
            await earlier.finished.wait()

        async def claim() -> int:
            return claimed.attempt

        try:
            return await self._continue(claimed.id, claimed.tenant_id, claimed.checkpoint, claim)
        except Overloaded as error:
            log.warning("runs: claimed run not started, released (error=%s)", error.code)
            with contextlib.suppress(Overloaded):  # else its lease expires
                await self._dependencies.store.release(claimed.id, self._dependencies.worker)
            return None

    async def _continue(
        self, run_id: str, tenant_id: int, text: str, claim: Callable[[], Awaitable[int | None]]
    ) -> ActiveRun | None:
        """Launch a run from its checkpoint, if `claim` returns the attempt of this worker.

        Raises Overloaded before the claim.
        """
        dependencies, checkpoint = self._dependencies, load_checkpoint(text)
        if checkpoint is None:
            await self._fail(run_id, tenant_id, Interrupted(retry_after=1), None, claim)
            return None
        try:
            principal = await reload_principal(dependencies, checkpoint)
            target = await resolve_same_revision(dependencies, principal, checkpoint)
        except Overloaded:
            raise
        except PlatformError as error:
            await self._fail(run_id, tenant_id, error, checkpoint, claim)
            return None
        attempt = await claim()
        if attempt is None:
            return None
        run_log = await dependencies.log.reopen(
            run_id, written=checkpoint.last_event + 1, attempt=max(1, attempt)
        )
        run = resumed_run(checkpoint, principal, target, dependencies, run_log=run_log)
        self._launch(run, run.persisted)
        return run

    async def _fail(
        self,
        run_id: str,
        tenant_id: int,
        error: PlatformError,
        checkpoint: RunCheckpoint | None,
        claim: Callable[[], Awaitable[int | None]],
    ) -> None:
        """End a run that cannot be continued."""
        dependencies = self._dependencies
        if await claim() is None:
            return
        await dependencies.store.finish(
            EndedRun(
                id=run_id,
                tenant_id=tenant_id,
                worker=dependencies.worker,
                state="failed",
                usage=checkpoint.usage if checkpoint else Usage(),
                error={"code": error.code, "message": error.message},
                steps=checkpoint.model_calls if checkpoint else 0,
                tool_calls=checkpoint.progress.tool_calls if checkpoint else 0,
                items=checkpoint.items_to_store(note=UNDECIDED) if checkpoint else (),
            )
        )
        await self._publish_end(await dependencies.store.load(tenant_id, run_id))

    async def _publish_end(self, record: RunRecord) -> None:
        """Publish the end of a run that no worker executes."""
        await self._dependencies.log.end(record.id, end_frame(record))
        if record.conversation:
            await self._dependencies.pubsub.notify(conversation_channel(record.conversation))

    def stop(self, run_id: str, why: StopCause) -> bool:
        """Stop a run of this worker. False if this worker does not execute it."""
        run = self._runs.get(run_id)
        if run is not None:
            run.stop(why)
        return run is not None

    def _on_cancel_message(self, message: str) -> None:
        """Handle another process's request to cancel a run of this worker."""
        run_id, _, why = message.partition(" ")
        if run_id:
            self.stop(run_id, StopCause.ROLLED_BACK if why == ROLLBACK else StopCause.CANCELLED)

    async def follow(
        self, tenant_id: int, run_id: str, *, after: int = -1
    ) -> AsyncGenerator[Sequence[Event]]:
        """Yield the events of a run after number `after`, up to its last one, of any worker.

        Raises NotFound, InvalidParameter beyond the log, and NotResumable.
        """
        run = self._runs.get(run_id)
        if run is None or run.principal.tenant_id != tenant_id or not run.started.done():
            await self._dependencies.store.load(tenant_id, run_id)
        last, first_event_due = after, 0.0
        while True:
            try:
                async with aclosing(self._dependencies.log.follow(run_id, after=after)) as batches:
                    async for events in batches:
                        last = events[-1].number
                        yield events
            except NotResumable:
                record = await self._dependencies.store.load(tenant_id, run_id)
                if record.is_over and record.store:
                    yield rebuilt_events(record, after=last)
                    return
                if record.is_queued:
                    first_event_due = time.time() + FIRST_EVENT_TIMEOUT_SECONDS
                if (
                    record.is_over
                    or last >= 0
                    or time.time()
                    > max(first_event_due, record.created_at + FIRST_EVENT_TIMEOUT_SECONDS)
                ):
                    raise
            else:
                return
            # The row is inserted; the first event follows after admission.
            await asyncio.sleep(FIRST_EVENT_POLL_SECONDS)

    async def run(self) -> None:
        """Renew the leases of the runs until cancelled."""
        with self._dependencies.pubsub.subscribed(
            worker_channel(self._dependencies.worker), self._on_cancel_message
        ):
            while True:
                try:
                    await self._renew()
                except Overloaded as error:
                    log.warning("runs: leases not renewed (runs=%d, error=%s)", len(self), error)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    await asyncio.sleep(RENEW_SECONDS)

    async def resume_decided(self) -> None:
        """Resume paused runs whose approvals are decided, until cancelled.

        A message starts it at once; a poll finds the runs whose message was lost.
        """
        with self._dependencies.pubsub.subscribed(APPROVALS, self._on_decision_message):
            while True:
                try:
                    for run_id in await self._dependencies.store.find_decided():
                        await self.resume(run_id)
                except Overloaded as error:
                    log.warning(
                        "runs: decided runs not read, tried again later (error=%s)", error.code
                    )
                await asyncio.sleep(POLL_SECONDS)

    def _on_decision_message(self, message: str) -> None:
        run_id, _, _ = message.partition(" ")
        if run_id:
            self._spawn(self.resume(run_id))

    async def _renew(self) -> None:
        mine = [run_id for run_id, run in self._runs.items() if run.is_persisted]
        if not mine:
            return
        cancellations = await self._dependencies.store.renew(self._dependencies.worker, mine)
        for run_id in mine:
            why = cancellations.get(run_id)
            if why is None:
                self.stop(run_id, StopCause.LOST)
            elif why:
                self._on_cancel_message(f"{run_id} {why}")

    async def drain(self, *, seconds: float) -> None:
        """Wait up to `seconds` for runs to finish. Then release those that agent nodes can
        continue, and end the others as failed.
        """
        self._is_draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        has_others = self._has_nodes or self._dependencies.is_agent_node
        others = StopCause.RELEASED if has_others else StopCause.INTERRUPTED
        for run in tuple(self._runs.values()):
            run.stop(others)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=INTERRUPT_TIMEOUT_SECONDS)
