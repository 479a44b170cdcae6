"""Background tasks of a worker: if one of them dies, so does the worker, and loudly."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5


class Background:
    """Tasks that run as long as the worker does."""

    def __init__(self, *, end_worker: Callable[[], None]) -> None:
        self._end_worker = end_worker
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, which ends only by being cancelled."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        # A worker without its ledger or its snapshots must not go on serving.
        log.critical(
            "gateway: background task ended, the worker stops (task=%s)",
            task.get_name(),
            exc_info=task.exception(),
        )
        self._end_worker()

    async def stop(self) -> None:
        """Cancel all, and again until they have ended.

        One time may not be enough: before Python 3.12 `asyncio.wait_for`, with which Redis' client
        writes, loses a cancellation that comes in the moment when it is done (bpo-37658).
        """
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=AGAIN_SECONDS)
