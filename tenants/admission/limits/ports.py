"""What the gate needs of the counters; `counters.Counters` keeps them in Redis."""

from collections.abc import Sequence
from typing import Protocol

from tenants.admission.limits.messages import AdmitRequest, Granted, Progress, Refused, Settlement
from tenants.admission.limits.rules import CounterState


class CounterStore(Protocol):
    """Counters of all limits. Every method raises CountersAway where nobody answers in time."""

    def now(self) -> float:
        """Seconds since 1970, by the one clock that windows go by."""

    def away_for(self) -> float:
        """For how many seconds the counters are known to be away; 0 if they are not."""

    async def admit(self, ask: AdmitRequest) -> Granted | Refused:
        """Decide, and hold what was granted. Raises WindowMoved for checks that are out of date."""

    async def extend(self, progress: Progress, *, completion_tokens: int) -> int:
        """Let a running request have so many tokens, or what is left. Returns what it has now."""

    async def renew(self, progress: Sequence[Progress]) -> None:
        """Tell how far requests are, and bring lost holds back."""

    async def settle(
        self, settlements: Sequence[Settlement], states: Sequence[CounterState]
    ) -> None:
        """Let holds go whose usage is in the ledger, and bring its totals."""
