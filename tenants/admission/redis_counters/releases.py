"""Holds of requests that gave up while they were admitted: given back as soon as Redis answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from tenants.admission.limits.errors import CountersAway
from tenants.admission.limits.messages import Settlement
from tenants.admission.redis_counters.hold_calls import DEADLINE_SECONDS

SOON_SECONDS = 2 * DEADLINE_SECONDS
"""By then an admission that is still on its way is refused for its age."""
AGAIN_SECONDS = 1.0
FORGET_SECONDS = 300.0
MAX_RELEASES = 50_000

Settle = Callable[[Sequence[Settlement]], Awaitable[None]]


class Releases:
    """Collects them, and settles them with nothing once they are old enough."""

    def __init__(self, settle: Settle) -> None:
        self._settle = settle
        self._wanted: dict[str, tuple[Settlement, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, tenant_id: int, request_id: str) -> None:
        """Release this soon, whether or not it is held."""
        settlement = Settlement(tenant_id=tenant_id, request_id=request_id, rate_tokens=0)
        if len(self._wanted) < MAX_RELEASES:
            self._wanted[request_id] = (settlement, time.monotonic())
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._work())

    def forget(self, request_ids: Iterable[str]) -> None:
        """These live, or are settled already."""
        if self._wanted:
            for request_id in request_ids:
                self._wanted.pop(request_id, None)

    async def _work(self) -> None:
        """Runs while there is something to release."""
        while self._wanted:
            await asyncio.sleep(SOON_SECONDS)
            try:
                await self._release(before=time.monotonic() - SOON_SECONDS)
            except CountersAway:
                await asyncio.sleep(AGAIN_SECONDS)
        self._task = None

    async def _release(self, *, before: float) -> None:
        """Raises CountersAway; then all of them wait for the next time, but the oldest."""
        due = [entry for entry in self._wanted.values() if entry[1] <= before]
        try:
            await self._settle([settlement for settlement, _ in due])
        except CountersAway:
            due = [entry for entry in due if entry[1] < before - FORGET_SECONDS]
            raise
        finally:
            self.forget(settlement.request_id for settlement, _ in due)

    async def aclose(self) -> None:
        """Release what can be released now."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._wanted:
            await self._give_up()

    async def _give_up(self) -> None:
        """The leases of what cannot be released end by themselves."""
        try:
            await self._release(before=time.monotonic())
        except CountersAway:
            self._wanted.clear()
