"""Background tasks of a worker: if one of them ends, the worker stops."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

log = logging.getLogger(__name__)

CANCEL_RETRY_SECONDS = 0.5


class Background:
    """Tasks that run until the worker stops."""

    def __init__(self, *, end_worker: Callable[[], None]) -> None:
        self._end_worker = end_worker
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work`, which must not end before it is cancelled."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        # A worker without its ledger or its snapshots must not serve requests.
        log.critical(
            "gateway: background task ended, the worker stops (task=%s)",
            task.get_name(),
            exc_info=task.exception(),
        )
        self._end_worker()

    async def stop(self) -> None:
        """Cancel all, and again until they have ended.

        One cancellation may not be enough: before Python 3.12 `asyncio.wait_for`, which Redis'
        client uses for writes, may lose a cancellation that comes when it completes (bpo-37658).
        """
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_RETRY_SECONDS)
