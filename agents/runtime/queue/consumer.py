"""Claims runs of the run queue for a worker, as many as it has slots."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from agents.redis_keys import RUN_QUEUE
from agents.runtime.execution.dependencies import RunDependencies
from agents.runtime.execution.ports import ClaimedRuns
from agents.schema.run_records import LEASE_SECONDS, ClaimedRun
from kernel.errors import Overloaded

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""A message about a new run may be lost, and a deadline or a conversation may become free."""


class QueueConsumer:
    """The share of one worker in the run queue."""

    def __init__(
        self,
        runner: ClaimedRuns,
        dependencies: RunDependencies,
        *,
        slots: int,
        excluded: Callable[[], Sequence[str]],
        is_draining: Callable[[], bool],
    ) -> None:
        """`slots` is the maximum number of runs at a time. `excluded` returns the agents, as
        `<tenant id>/<slug>`, that this worker may not execute. A worker that `is_draining` claims
        no more runs.
        """
        self._runner = runner
        self._dependencies = dependencies
        self._slots = slots
        self._excluded = excluded
        self._woken = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_draining = is_draining
        self._is_paused = False
        self._claiming = asyncio.Lock()

    def pause(self) -> None:
        """Claim no more runs, until `unpause`."""
        self._is_paused = True

    def unpause(self) -> None:
        """Claim runs again."""
        self._is_paused = False
        self._woken.set()

    async def stop(self) -> None:
        """Claim no more runs, and return when the claimed ones are executed by the runner."""
        self.pause()
        async with self._claiming:
            if self._tasks:
                await asyncio.wait(self._tasks)

    async def run(self) -> None:
        """Claim and execute runs until cancelled."""
        pubsub = self._dependencies.pubsub
        with pubsub.subscribed(RUN_QUEUE, lambda _: self._woken.set()):
            while True:
                self._woken.clear()
                try:
                    async with self._claiming:
                        is_full = await self._claim()
                except Overloaded as error:
                    is_full = False
                    log.warning("run queue: not read, tried again later (error=%s)", error.code)
                # With free slots there may be more runs than one claim returns.
                if not is_full:
                    await self._wait()

    async def _claim(self) -> bool:
        """Claim as many runs as there are free slots. Returns whether it got them all."""
        free = self._slots - len(self._runner) - len(self._tasks)
        if free <= 0 or self._is_draining() or self._is_paused:
            return False
        claimed = await self._dependencies.store.claim_queued(
            self._dependencies.worker, limit=free, excluded=self._excluded()
        )
        for run in claimed:
            task = asyncio.create_task(self._execute(run))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return len(claimed) == free

    async def _execute(self, claimed: ClaimedRun) -> None:
        run = await self._runner.execute_claimed(claimed)
        if run is not None and run.task is not None:
            run.task.add_done_callback(lambda _: self._woken.set())
        else:
            self._woken.set()

    async def _wait(self) -> None:
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._woken.wait()

    async def requeue_dead(self) -> None:
        """Return the runs of dead workers to the queue, until cancelled.

        A worker that has just reached PostgreSQL again waits: the other workers were cut off too,
        and must be able to renew their leases first.
        """
        loop = asyncio.get_running_loop()
        connected_since = loop.time()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                if loop.time() - connected_since < LEASE_SECONDS:
                    await self._dependencies.store.renew(self._dependencies.worker, ())
                elif count := await self._dependencies.store.requeue_dead():
                    log.warning("run queue: runs of dead workers queued again (runs=%d)", count)
                    await self._dependencies.pubsub.notify(RUN_QUEUE)
            except Overloaded as error:
                connected_since = loop.time()
                log.warning("run queue: dead workers not looked for (error=%s)", error.code)
