"""A cache in front of one loader: single-flight, bounded, and never refilled with stale values."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

from kernel.storage.cooldown import Cooldown

TIMEOUT_SECONDS = 0.25
"""Maximum time that a request with a stale value waits for a fresh one."""
OUTDATED_TIMEOUT_SECONDS = 1.0
"""Maximum time that a request with an outdated value waits for a fresh one."""
MAX_FAILURES = 10_000
RETRY_SECONDS = 2.0
"""Time after a load that timed out in which it is not tried again."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class CacheEntry(NamedTuple, Generic[V]):
    value: V
    loaded_at: float
    is_outdated: bool = False
    """Whether a newer value exists, which must be loaded before this one is returned."""


class Failure(NamedTuple):
    """A slow load that failed."""

    error: Exception
    until: float


class LoadingCache(Generic[K, V]):
    """Returns values from memory for `ttl` seconds, then calls `load` again.

    Many callers of one key share one load. If a load fails with one of `outages`, or takes longer
    than TIMEOUT_SECONDS, a value younger than `stale` seconds is returned instead, also one that
    was marked as outdated. A load that failed late is not tried again for RETRY_SECONDS. A value
    whose load began before `invalidate` or `mark_outdated` is not stored: otherwise a request in
    flight would bring a revoked key back.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        ttl: float,
        stale: float = 0.0,
        outages: tuple[type[Exception], ...] = (),
        size: int = 50_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._ttl = ttl
        self._stale = stale
        self._outages: tuple[type[Exception], ...] = (*outages, TimeoutError)
        self._size = size
        self._clock = clock
        self._cooldown = Cooldown(RETRY_SECONDS, clock=clock)
        self._entries: OrderedDict[K, CacheEntry[V]] = OrderedDict()
        self._loads: dict[K, asyncio.Task[V]] = {}
        self._overtaken: set[asyncio.Task[V] | None] = set()
        """Loads that began before their value was marked as outdated."""
        self._failures: OrderedDict[K, Failure] = OrderedDict()

    async def get(self, key: K) -> V:
        """Return the value for `key`. Raises what `load` raises."""
        entry = self._entries.get(key)
        if entry is None:
            return await self._load_once(key)
        now = self._clock()
        age = now - entry.loaded_at
        if age < self._ttl and not entry.is_outdated:
            return entry.value
        if age < self._stale:
            if self._cooldown.is_active:
                return entry.value
            seconds = OUTDATED_TIMEOUT_SECONDS if entry.is_outdated else TIMEOUT_SECONDS
            return await self._load_or_stale(key, seconds=seconds)
        return await self._load_once(key)

    async def _load_or_stale(self, key: K, *, seconds: float) -> V:
        """Return a new value within `seconds`; otherwise the old one, also for RETRY_SECONDS."""
        try:
            async with asyncio.timeout(seconds):
                return await self._load_once(key)
        except self._outages:
            self._cooldown.start()
            # Read again: it may have been invalidated in the meantime.
            entry = self._entries.get(key)
            if entry is None:
                raise
            return entry.value

    async def _load_once(self, key: K) -> V:
        failure = self._failures.get(key)
        if failure is not None and self._clock() < failure.until:
            raise failure.error.with_traceback(None)
        task = self._loads.get(key)
        if task is None:
            task = asyncio.create_task(self._fill(key))
            # Retrieve the exception: all callers may have left.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._loads[key] = task
        # A caller that leaves must not cancel the load of the others.
        return await asyncio.shield(task)

    async def _fill(self, key: K) -> V:
        task = asyncio.current_task()
        started = self._clock()
        try:
            value = await self._load(key)
            if self._loads.get(key) is task:
                self._store(key, CacheEntry(value, started))
            elif task in self._overtaken and key not in self._entries and value is not None:
                # Older than what was published meanwhile, but usable during an outage.
                self._store(key, CacheEntry(value, started, is_outdated=True))
        except self._outages as error:
            now = self._clock()
            if now - started >= TIMEOUT_SECONDS and self._loads.get(key) is task:
                self._remember(key, Failure(error, now + RETRY_SECONDS))
            raise
        else:
            return value
        finally:
            self._overtaken.discard(task)
            if self._loads.get(key) is task:
                del self._loads[key]

    def _store(self, key: K, entry: CacheEntry[V]) -> None:
        self._failures.pop(key, None)
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def _remember(self, key: K, failure: Failure) -> None:
        self._failures[key] = failure
        while len(self._failures) > MAX_FAILURES:
            self._failures.popitem(last=False)

    def invalidate(self, concerns: Callable[[K, V], bool]) -> None:
        """Remove the values that `concerns` selects, and ignore all loads under way.

        For values that must not be used any more, even during an outage.
        """
        for key in self._concerned(concerns):
            del self._entries[key]
        self._overtaken.clear()

    def mark_outdated(self, concerns: Callable[[K, V], bool]) -> None:
        """Reload the values that `concerns` selects before they are returned again.

        If the load fails, the last value is returned. None is not returned in this way.
        """
        self._overtaken.update(self._loads.values())
        for key in self._concerned(concerns):
            if self._entries[key].value is None:
                del self._entries[key]
            else:
                self._entries[key] = self._entries[key]._replace(is_outdated=True)

    def _concerned(self, concerns: Callable[[K, V], bool]) -> list[K]:
        self._loads.clear()
        self._failures.clear()
        return [key for key, entry in self._entries.items() if concerns(key, entry.value)]
