"""The holds of the requests of this worker, and the heartbeat that renews them.

A hold is removed when the usage of its request is in the ledger and Redis has the settlement. Until
then the heartbeat renews it, and restores it if Redis has lost it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from kernel import metrics
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.limits.messages import AdmitRequest, RequestProgress, Settlement
from tenants.admission.limits.ports import CounterStore
from tenants.admission.usage.records import Usage, UsageRecord

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
MAX_HOLDS_PER_CALL = 200
"""Maximum holds in one call to Redis. A larger call would block other calls for too long."""

ReadUsage = Callable[[], Usage]


class Hold:
    """One admitted request."""

    __slots__ = ("completion", "ended", "read_usage", "reported", "request")

    def __init__(self, request: AdmitRequest, *, completion: int, reported: bool) -> None:
        self.request = request
        self.completion = completion
        """Held completion tokens."""
        self.read_usage: ReadUsage = Usage
        """Returns the usage so far."""
        self.ended = False
        self.reported = reported
        """Whether the hold may be in Redis, so that it must be settled there."""

    def progress(self) -> RequestProgress:
        """Return the state for the heartbeat."""
        usage = self.read_usage()
        return RequestProgress(
            request=self.request,
            completion_granted=self.completion,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            estimated=usage.estimated,
            ended=self.ended,
        )

    def end(self, usage: Usage) -> None:
        """Set the final usage of the request, which is not in the ledger yet."""
        self.read_usage = lambda: usage
        self.ended = True


class Holds:
    """Every hold of this worker, by request id."""

    def __init__(self, counters: CounterStore) -> None:
        self._counters = counters
        self._holds: dict[str, Hold] = {}
        self._settlements: dict[str, Settlement] = {}
        self._states: dict[tuple[int, str, str], CounterState] = {}

    def __len__(self) -> int:
        return len(self._holds)

    def add(self, hold: Hold) -> None:
        self._holds[hold.request.request_id] = hold

    async def settled(self, records: Sequence[UsageRecord], states: Sequence[CounterState]) -> None:
        """Settle the holds of records that are in the ledger; on failure the heartbeat retries."""
        for record in records:
            hold = self._holds.get(record.request_id)
            # Records that another process spooled, or that are replayed again, have no hold here.
            if hold is not None and not hold.reported:
                del self._holds[record.request_id]
            else:
                self._settlements[record.request_id] = settlement_of(record)
        for state in states:
            name = (state.tenant_id, state.counter, state.window)
            known = self._states.get(name)
            if known is None or known.version < state.version:
                self._states[name] = state
        await self._settle()

    async def spooled(self, records: Sequence[UsageRecord]) -> None:
        """Renew the holds of records that are in the spool, with their usage, for a day."""
        known = (self._holds.get(record.request_id) for record in records)
        await self._renew([hold for hold in known if hold is not None])

    async def run(self) -> None:
        """Renew the holds until cancelled."""
        while True:
            started = time.monotonic()
            await self.beat()
            await asyncio.sleep(max(0.5, HEARTBEAT_SECONDS - (time.monotonic() - started)))

    async def beat(self) -> None:
        """Send pending settlements, and renew all other holds."""
        metrics.holds.set(len(self._holds))
        await self._settle()
        await self._renew(list(self._holds.values()))

    async def _renew(self, holds: Sequence[Hold]) -> None:
        for batch in batched(holds, MAX_HOLDS_PER_CALL):
            try:
                for hold in batch:
                    hold.reported = True
                await self._counters.renew([hold.progress() for hold in batch])
            except CountersUnavailable as error:
                log.warning("holds: not renewed (holds=%d, error=%s)", len(holds), error)
                return

    async def _settle(self) -> None:
        """Send settlements to Redis in batches. Failed ones stay for the next heartbeat."""
        while self._settlements or self._states:
            settlements = list(islice(self._settlements.values(), MAX_HOLDS_PER_CALL))
            tenants = {each.tenant_id for each in settlements}
            # All states of a tenant, because removing holds before them would free used quota.
            states = [s for s in self._states.values() if not tenants or s.tenant_id in tenants]
            try:
                await self._counters.settle(settlements, states)
            except CountersUnavailable as error:
                log.warning(
                    "holds: not settled, Redis unavailable (pending_settlements=%d, error=%s)",
                    len(self._settlements),
                    error,
                )
                return
            self._forget(settlements, states)

    def _forget(self, settlements: Sequence[Settlement], states: Sequence[CounterState]) -> None:
        for settlement in settlements:
            self._settlements.pop(settlement.request_id, None)
            self._holds.pop(settlement.request_id, None)
        for state in states:
            name = (state.tenant_id, state.counter, state.window)
            if self._states.get(name) is state:
                del self._states[name]


def settlement_of(record: UsageRecord) -> Settlement:
    return Settlement(
        tenant_id=record.tenant_id,
        request_id=record.request_id,
        rate_tokens=record.prompt_tokens + record.completion_tokens,
    )


def batched(holds: Sequence[Hold], size: int) -> Iterator[Sequence[Hold]]:
    for start in range(0, len(holds), size):
        yield holds[start : start + size]
