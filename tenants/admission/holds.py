"""The requests of this worker that hold something, and the heartbeat that keeps their holds.

A request leaves only when its usage is in the ledger and Redis has been told: until then the
heartbeat renews its hold, and makes it anew if Redis lost it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from kernel import metrics
from tenants.admission.limits.errors import CountersAway
from tenants.admission.limits.messages import AdmitRequest, Progress, Settlement
from tenants.admission.limits.ports import CounterStore
from tenants.admission.limits.rules import CounterState
from tenants.admission.usage.records import Usage, UsageRecord

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
MAX_HOLDS_PER_CALL = 200
"""Holds that one call to Redis is about, so that it never blocks others for long."""

Seen = Callable[[], Usage]


class Hold:
    """One admitted request."""

    __slots__ = ("ask", "completion", "ended", "reported", "seen")

    def __init__(self, ask: AdmitRequest, *, completion: int, reported: bool) -> None:
        self.ask = ask
        self.completion = completion
        """The longest answer that was granted."""
        self.seen: Seen = Usage
        """What it has used so far, if anybody knows."""
        self.ended = False
        self.reported = reported
        """Whether Redis may know of it. Only then does it have to be settled there."""

    def progress(self) -> Progress:
        """As the heartbeat tells it."""
        usage = self.seen()
        return Progress(
            ask=self.ask,
            completion_granted=self.completion,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            estimated=usage.estimated,
            ended=self.ended,
        )

    def end(self, usage: Usage) -> None:
        """It is over; what it used is on its way to the ledger."""
        self.seen = lambda: usage
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
        self._holds[hold.ask.request_id] = hold

    async def settled(self, records: Sequence[UsageRecord], states: Sequence[CounterState]) -> None:
        """The ledger has these records: let their holds go, now or with the next heartbeat."""
        for record in records:
            hold = self._holds.get(record.request_id)
            # What was spooled by another process, or lies here twice, has no hold of ours.
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
        """PostgreSQL is away: these requests keep, for a day, what they used. Tell it at once."""
        known = (self._holds.get(record.request_id) for record in records)
        await self._renew([hold for hold in known if hold is not None])

    async def run(self) -> None:
        """Keep the holds until cancelled."""
        while True:
            started = time.monotonic()
            await self.beat()
            await asyncio.sleep(max(0.5, HEARTBEAT_SECONDS - (time.monotonic() - started)))

    async def beat(self) -> None:
        """Settle what could not be settled before, and renew all the rest."""
        metrics.holds.set(len(self._holds))
        await self._settle()
        await self._renew(list(self._holds.values()))

    async def _renew(self, holds: Sequence[Hold]) -> None:
        for batch in batched(holds, MAX_HOLDS_PER_CALL):
            try:
                for hold in batch:
                    hold.reported = True
                await self._counters.renew([hold.progress() for hold in batch])
            except CountersAway as error:
                log.warning("holds: not renewed (holds=%d, error=%s)", len(holds), error)
                return

    async def _settle(self) -> None:
        """Tell Redis what is in the ledger, in portions; what it does not take waits."""
        while self._settlements or self._states:
            settlements = list(islice(self._settlements.values(), MAX_HOLDS_PER_CALL))
            tenants = {each.tenant_id for each in settlements}
            # With the holds of a tenant go all the states we know, or it had room too much.
            states = [s for s in self._states.values() if not tenants or s.tenant_id in tenants]
            try:
                await self._counters.settle(settlements, states)
            except CountersAway as error:
                log.warning(
                    "holds: Redis unavailable (waiting_settlements=%d, error=%s)",
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
