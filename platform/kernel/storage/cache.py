"""A cache in front of one loader: single-flight, bounded, and never refilled with stale values."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

TIMEOUT_SECONDS = 0.25
"""How long a request waits for a fresher value than it has: an outage must not be felt."""
OUTDATED_TIMEOUT_SECONDS = 1.0
"""The same for a value of which it is known that a newer one is there."""
MAX_FAILURES = 10_000
RETRY_SECONDS = 2.0
"""A load that timed out is not tried again for this long."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Entry(NamedTuple, Generic[V]):
    value: V
    loaded_at: float
    is_outdated: bool = False
    """There is a newer value, which is to be read before this one is answered again."""


class Failure(NamedTuple):
    """A load that took its time and came to nothing."""

    error: Exception
    until: float


class LoadingCache(Generic[K, V]):
    """Answers from memory for `ttl` seconds, then asks `load` again.

    Many callers of one key share one load. If a load fails with one of `outages`, or takes longer
    than TIMEOUT_SECONDS, a value younger than `stale` seconds is answered instead, also one that
    was marked as outdated. A load that failed late is not tried again for RETRY_SECONDS. A value
    whose load began before `invalidate` or `mark_outdated` is not kept: otherwise a request in
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
        self._away_until = -math.inf
        self._entries: OrderedDict[K, Entry[V]] = OrderedDict()
        self._loads: dict[K, asyncio.Task[V]] = {}
        self._overtaken: set[asyncio.Task[V] | None] = set()
        """Loads that began before what they load was marked as outdated."""
        self._failures: OrderedDict[K, Failure] = OrderedDict()

    async def get(self, key: K) -> V:
        """The value for `key`. Raises what `load` raises."""
        entry = self._entries.get(key)
        if entry is None:
            return await self._load_once(key)
        now = self._clock()
        age = now - entry.loaded_at
        if age < self._ttl and not entry.is_outdated:
            return entry.value
        if age < self._stale:
            if now < self._away_until:
                return entry.value
            patience = OUTDATED_TIMEOUT_SECONDS if entry.is_outdated else TIMEOUT_SECONDS
            return await self._load_or_stale(key, patience=patience)
        return await self._load_once(key)

    async def _load_or_stale(self, key: K, *, patience: float) -> V:
        """A new value if it comes soon; else, and for the next moments, the old one."""
        try:
            async with asyncio.timeout(patience):
                return await self._load_once(key)
        except self._outages:
            self._away_until = self._clock() + RETRY_SECONDS
            # Looked up again: it may have been invalidated in the meantime.
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
            # If every caller left, nobody else looks at a failure.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._loads[key] = task
        # A caller that leaves must not take the load away from the others.
        return await asyncio.shield(task)

    async def _fill(self, key: K) -> V:
        task = asyncio.current_task()
        started = self._clock()
        try:
            value = await self._load(key)
            if self._loads.get(key) is task:
                self._keep(key, Entry(value, started))
            elif task in self._overtaken and key not in self._entries and value is not None:
                # Older than what was published meanwhile, and better than nothing.
                self._keep(key, Entry(value, started, is_outdated=True))
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

    def _keep(self, key: K, entry: Entry[V]) -> None:
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
        """Forget the values that `concerns` names, and every load that is under way.

        For what must not be used any more, come what may.
        """
        for key in self._concerned(concerns):
            del self._entries[key]
        self._overtaken.clear()

    def mark_outdated(self, concerns: Callable[[K, V], bool]) -> None:
        """Read the values that `concerns` names anew before they are answered again.

        Unless that cannot be done: then the last one that is known serves. None is no such value.
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
