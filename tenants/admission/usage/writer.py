"""The writer of usage records from a gateway to the ledger: small batches, each record once.

While PostgreSQL is unavailable, records go to the spool and are replayed from it later. A batch
without a response is sent again with the same request ids, which PostgreSQL inserts only once.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

import msgspec

from kernel import metrics
from kernel.errors import Overloaded, PlatformError
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.spool import NoSpool, Spool, SpoolUnwritable

log = logging.getLogger(__name__)

BATCH_ROWS = 100
"""Number of records that are written at once, without waiting for BATCH_SECONDS."""
BATCH_SECONDS = 0.03
MAX_BATCH_ROWS = 1000
RETRY_SECONDS = 1.0
SETTLE_NOW_SECONDS = 0.25
"""Maximum delay of a request by `settle_now` before it is refused."""
CLAIM_SECONDS = 60.0
"""Interval at which spool files of dead workers are claimed."""
MAX_PENDING_RECORDS = 200_000
"""If so many records are pending, new requests are refused. They need about 100 MB."""


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """The result of appending a batch."""

    new: int = 0
    """Number of inserted rows, including corrections."""
    states: tuple[CounterState, ...] = ()
    """State of every counter that the batch charges, including records that existed already."""


Append = Callable[[Sequence[UsageRecord]], Awaitable[Appended]]
Settled = Callable[[Sequence[UsageRecord], Sequence[CounterState]], Awaitable[None]]
"""Called when records are in the ledger; may be called again with the same records."""
Spooled = Callable[[Sequence[UsageRecord]], Awaitable[None]]
"""Called when records are in the spool and not in PostgreSQL."""


class LedgerUnavailable(PlatformError):
    """Usage cannot be written to the ledger right now."""

    code = "ledger_unavailable"
    status = 503


class RecordRefused(PlatformError):
    """A usage record violates a constraint of the ledger, which is a bug."""

    code = "record_refused"


class LedgerFull(Overloaded):
    """Usage cannot be recorded right now. Try again shortly."""

    code = "ledger_full"


async def ignore_settled(records: Sequence[UsageRecord], states: Sequence[CounterState]) -> None:
    """Do nothing, for a writer without holds."""


async def ignore_spooled(records: Sequence[UsageRecord]) -> None:
    """Do nothing, for a writer without holds."""


class LedgerWriter:
    """Collects records and appends them.

    `append` raises LedgerUnavailable during an outage, and RecordRefused for an invalid record.
    `settled` and `spooled` must not raise: an exception would stop the worker.
    """

    def __init__(
        self,
        append: Append,
        *,
        spool: Spool | None = None,
        settled: Settled = ignore_settled,
        spooled: Spooled = ignore_spooled,
        max_pending: int = MAX_PENDING_RECORDS,
    ) -> None:
        self._append = append
        self._spool = spool or NoSpool()
        self._settled = settled
        self._spooled = spooled
        self._max_pending = max_pending
        self._pending: deque[tuple[float, UsageRecord]] = deque()
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        self._settling: asyncio.Task[None] | None = None
        # Without the lock, two tasks would remove the same records twice.
        self._writing = asyncio.Lock()
        # Set by a failed write; a successful replay of the spool resets it.
        self._database_unavailable = False
        # Whether records are in memory only, because PostgreSQL and the spool have failed.
        self._at_risk = False

    def ensure_room(self) -> None:
        """Raise LedgerFull if the usage of another request could not be recorded safely."""
        if self._at_risk or len(self._pending) >= self._max_pending:
            raise LedgerFull(retry_after=5)

    def record(self, record: UsageRecord) -> None:
        """Queue a record. Never blocks or fails, because the request has been served."""
        self._pending.append((time.monotonic(), record))
        self._filled.set()
        if len(self._pending) >= BATCH_ROWS:
            self._urgent.set()

    async def run(self) -> None:
        """Write records, and replay the spool, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._replay())

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            await self._fill_batch()
            try:
                await self._move_batch()
            except LedgerUnavailable as error:
                log.warning(
                    "ledger: PostgreSQL unavailable (pending_records=%d, error=%s)",
                    len(self._pending),
                    error,
                )
                await asyncio.sleep(RETRY_SECONDS)

    async def _fill_batch(self) -> None:
        """Wait until the batch is full or BATCH_SECONDS are over."""
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation, so shutdown would hang.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BATCH_SECONDS):
                await self._urgent.wait()

    async def flush(self) -> None:
        """Write all pending records to PostgreSQL, or else to the spool.

        Raises LedgerUnavailable if both fail; then the records stay pending.
        """
        while self._pending:
            await self._move_batch()

    async def settle_now(self) -> None:
        """Write all pending records now; concurrent callers share one write.

        Returns after SETTLE_NOW_SECONDS at the latest; `run` writes the rest.
        """
        if not self._pending:
            return
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._flush_in_time())
        await asyncio.shield(self._settling)

    async def _flush_in_time(self) -> None:
        with contextlib.suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(SETTLE_NOW_SECONDS):
                await self.flush()

    async def close(self, *, seconds: float) -> None:
        """Write all pending records within so many seconds, and close the spool.

        Others go to the spool. If that fails, they are logged in full.
        """
        try:
            async with asyncio.timeout(seconds):
                await self.flush()
        except (LedgerUnavailable, TimeoutError) as error:
            log.warning("ledger: PostgreSQL unavailable at shutdown (error=%s)", error)
            await self._spool_remaining()
        await asyncio.to_thread(self._spool.close)

    async def _spool_remaining(self) -> None:
        remaining = [record for _, record in self._pending]
        if remaining and not await self._spool_batch(remaining):
            for record in remaining:
                log.critical("ledger: record lost at shutdown: %r", record)

    async def _move_batch(self) -> None:
        async with self._writing:
            await self._move_oldest()

    async def _move_oldest(self) -> None:
        batch = [record for _, record in islice(self._pending, MAX_BATCH_ROWS)]
        try:
            await self._append_or_spool(batch)
            for _ in batch:
                self._pending.popleft()
        finally:
            self._report()
        if not self._pending:
            self._filled.clear()
        if len(self._pending) < BATCH_ROWS:
            self._urgent.clear()

    async def _append_or_spool(self, batch: Sequence[UsageRecord]) -> None:
        """Write a batch. Raises LedgerUnavailable if both PostgreSQL and the spool fail."""
        if self._database_unavailable and await self._spool_batch(batch):
            return
        try:
            await self._append_or_halve(batch)
        except LedgerUnavailable:
            self._database_unavailable = await self._spool_batch(batch)
            self._at_risk = not self._database_unavailable
            if self._at_risk:
                raise
        else:
            self._at_risk = False

    async def _spool_batch(self, batch: Sequence[UsageRecord]) -> bool:
        """Write a batch to the spool. Return False if that failed."""
        try:
            await asyncio.to_thread(self._spool.write, batch)
        except SpoolUnwritable as error:
            log.error("ledger: spool unwritable (error=%s)", error)  # noqa: TRY400 - no bug
            return False
        await self._spooled(batch)
        return True

    async def _append_or_halve(self, batch: Sequence[UsageRecord]) -> None:
        """Append a batch. Halve it to find a refused record, which is set aside."""
        try:
            appended = await self._append(batch)
        except RecordRefused as error:
            if len(batch) == 1:
                log.critical("ledger: record refused (error=%s): %r", error, batch[0])
                await asyncio.to_thread(self._spool.set_aside, batch[0])
                return
            middle = len(batch) // 2
            await self._append_or_halve(batch[:middle])
            await self._append_or_halve(batch[middle:])
        else:
            await self._settled(batch, appended.states)

    async def _replay(self) -> None:
        """Append spooled records to PostgreSQL, including those of dead workers."""
        next_claim = 0.0
        while True:
            if time.monotonic() >= next_claim:
                await asyncio.to_thread(self._spool.claim)
                next_claim = time.monotonic() + CLAIM_SECONDS
            while await self._replay_oldest():
                self._report()
            self._report()
            await asyncio.sleep(RETRY_SECONDS)

    async def _replay_oldest(self) -> bool:
        """Replay the oldest batch. Return whether there may be another one."""
        if not self._spool.events:
            return False
        batch = await asyncio.to_thread(self._spool.oldest, MAX_BATCH_ROWS)
        if batch is None:
            return False
        try:
            if batch.records:
                await self._append_or_halve(batch.records)
        except LedgerUnavailable as error:
            log.warning(
                "ledger: PostgreSQL unavailable (spooled_records=%d, error=%s)",
                self._spool.events,
                error,
            )
            return False
        await asyncio.to_thread(self._spool.forget, batch)
        self._database_unavailable = False
        return True

    def _report(self) -> None:
        age = time.monotonic() - self._pending[0][0] if self._pending else 0.0
        spooled = self._spool.events
        metrics.ledger_pending.set(len(self._pending) + spooled)
        metrics.spool_events.set(spooled)
        metrics.ledger_lag.set(max(age, self._spool.age()))
