"""The interface of the counters, which `redis_counters.counters` implements."""

from collections.abc import Sequence
from typing import Protocol

from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.messages import (
    AdmitRequest,
    Granted,
    Refused,
    RequestProgress,
    Settlement,
)


class CounterStore(Protocol):
    """Counters of all limits. Methods raise CountersUnavailable on a failure or timeout."""

    def now(self) -> float:
        """Return the seconds since 1970, by the clock that selects windows."""

    def outage_seconds(self) -> float:
        """Return the seconds since the counters became unavailable; 0 if they are available."""

    async def admit(self, request: AdmitRequest) -> Granted | Refused:
        """Admit and hold, or refuse. Raises WindowMoved for outdated checks."""

    async def extend(self, progress: RequestProgress, *, completion_tokens: int) -> int:
        """Extend a hold to so many tokens, or to what is left. Return the held tokens."""

    async def renew(self, progress: Sequence[RequestProgress]) -> None:
        """Renew holds with the usage so far, and restore lost ones."""

    async def settle(
        self, settlements: Sequence[Settlement], states: Sequence[CounterState]
    ) -> None:
        """Remove holds whose usage is in the ledger, and set the totals of the ledger."""
