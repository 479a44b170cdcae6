"""Release of the holds of requests that were cancelled or timed out during their admission."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.limits.messages import Settlement
from tenants.admission.redis_counters.hold_calls import DEADLINE_SECONDS

DELAY_SECONDS = 2 * DEADLINE_SECONDS
"""Delay after which Redis ignores an admission that it has not executed yet."""
RETRY_SECONDS = 1.0
MAX_AGE_SECONDS = 300.0
MAX_RELEASES = 50_000

Settle = Callable[[Sequence[Settlement]], Awaitable[None]]


class Releases:
    """Collects such requests, and settles them without usage after DELAY_SECONDS."""

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._wanted: dict[str, tuple[Settlement, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, tenant_id: int, request_id: str) -> None:
        """Release the hold of a request, if any, after DELAY_SECONDS."""
        settlement = Settlement(tenant_id=tenant_id, request_id=request_id, rate_tokens=0)
        if len(self._wanted) < MAX_RELEASES:
            self._wanted[request_id] = (settlement, time.monotonic())
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._work())

    def forget(self, request_ids: Iterable[str]) -> None:
        """Do not release these requests, which are running or settled."""
        if self._wanted:
            for request_id in request_ids:
                self._wanted.pop(request_id, None)

    async def _work(self) -> None:
        """Release holds until none is left."""
        while self._wanted:
            await asyncio.sleep(DELAY_SECONDS)
            try:
                await self._release(before=time.monotonic() - DELAY_SECONDS)
            except CountersUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
        self._task = None

    async def _release(self, *, before: float) -> None:
        """Release due holds. On CountersUnavailable only those over MAX_AGE_SECONDS are dropped."""
        due = [entry for entry in self._wanted.values() if entry[1] <= before]
        try:
            await self._settle([settlement for settlement, _ in due])
        except CountersUnavailable:
            due = [entry for entry in due if entry[1] < before - MAX_AGE_SECONDS]
            raise
        finally:
            self.forget(settlement.request_id for settlement, _ in due)

    async def aclose(self) -> None:
        """Try once more to release all, and stop."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._wanted:
            await self._release_last()

    async def _release_last(self) -> None:
        """Try to release all holds. Those that stay in Redis expire with their leases."""
        try:
            await self._release(before=time.monotonic())
        except CountersUnavailable:
            self._wanted.clear()
