"""Running requests by endpoint, counted by leases."""

from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from kernel import metrics

Changed = Callable[[int], None]


def ignore_change(_: int) -> None:
    """Ignores changes of the count."""


class Lease:
    """One running request. Releasing it again has no effect."""

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
    """Running requests of this worker, by endpoint id."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def lease(self, *, pool: str, endpoint: str, changed: Changed = ignore_change) -> Lease:
        """Count one request until the release. `changed` is called with 1, and then with -1."""
        return Lease(self._counts, pool=pool, endpoint=endpoint, changed=changed)

    def of(self, endpoint: str) -> int:
        return self._counts.get(endpoint, 0)

    def total(self) -> int:
        return self._counts.total()
