"""How many requests each endpoint works on. Counted by leases, which cannot leak."""

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kernel import metrics

Changed = Callable[[int], None]


def unheard(_: int) -> None:
    """For whoever only wants the counts."""


class Lease:
    """One running request. Ends once, however often and on whichever path it is ended."""

    __slots__ = ("_changed", "_counts", "_endpoint", "_gauge", "_held")

    def __init__(self, counts: Counter[str], *, pool: str, endpoint: str, changed: Changed) -> None:
        self._changed = changed
        self._counts = counts
        self._endpoint = endpoint
        self._gauge = metrics.series(metrics.in_flight, pool, endpoint)
        self._held = True
        counts[endpoint] += 1
        self._gauge.inc()
        changed(1)

    def release(self) -> None:
        if not self._held:
            return
        self._held = False
        self._gauge.dec()
        self._changed(-1)
        self._counts[self._endpoint] -= 1
        if not self._counts[self._endpoint]:
            del self._counts[self._endpoint]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class InFlight:
    """This worker's counts by endpoint id."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def lease(self, *, pool: str, endpoint: str, changed: Changed = unheard) -> Lease:
        """Count one more request until the lease is released. `changed` hears 1, and -1 once."""
        return Lease(self._counts, pool=pool, endpoint=endpoint, changed=changed)

    def of(self, endpoint: str) -> int:
        return self._counts.get(endpoint, 0)

    def total(self) -> int:
        return self._counts.total()
