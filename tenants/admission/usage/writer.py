"""The way up: usage records leave a gateway in small batches, each counted once.

While PostgreSQL is away they go to the spool, and from there to PostgreSQL once it is back. A
batch whose answer was lost is sent again with the same request ids, which PostgreSQL inserts at
most once; so it costs nothing but the repetition.
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
from tenants.admission.limits.rules import CounterState
from tenants.admission.usage.records import UsageRecord
from tenants.admission.usage.spool import NoSpool, Spool, SpoolUnwritable

log = logging.getLogger(__name__)

BATCH_ROWS = 100
"""So many are written without waiting for more."""
BATCH_SECONDS = 0.03
MAX_BATCH_ROWS = 1000
RETRY_SECONDS = 1.0
PROMPT_SECONDS = 0.25
"""The most that a request waits for others to be settled before it is refused."""
CLAIM_SECONDS = 60.0
"""How often the spools of workers that died are looked for."""
MAX_PENDING_RECORDS = 200_000
"""About 100 MB; beyond that new requests are refused rather than served without a record."""


class Appended(msgspec.Struct, frozen=True, kw_only=True):
    """What PostgreSQL knows after a batch."""

    new: int = 0
    """Rows that were not there yet, corrections included."""
    states: tuple[CounterState, ...] = ()
    """Of every counter that a record of the batch names, also of those that were there before."""


Append = Callable[[Sequence[UsageRecord]], Awaitable[Appended]]
Settled = Callable[[Sequence[UsageRecord], Sequence[CounterState]], Awaitable[None]]
"""Told after records are in the ledger. May be told again of the same records."""
Spooled = Callable[[Sequence[UsageRecord]], Awaitable[None]]
"""Told after records are in the spool: they will count, but PostgreSQL does not know them yet."""


class LedgerUnavailable(PlatformError):
    """Usage cannot be written down right now."""

    code = "ledger_unavailable"
    status = 503


class RecordRefused(PlatformError):
    """A usage record breaks a rule of the ledger's table, which is a bug."""

    code = "record_refused"


class LedgerFull(Overloaded):
    """Usage cannot be written down right now. Try again shortly."""

    code = "ledger_full"


async def settle_nothing(records: Sequence[UsageRecord], states: Sequence[CounterState]) -> None:
    """For whoever holds nothing that a settled record would set free."""


async def hold_nothing(records: Sequence[UsageRecord]) -> None:
    """For whoever holds nothing for records in the spool."""


class LedgerWriter:
    """Collects records and appends them.

    `append` raises LedgerUnavailable while it cannot, and RecordRefused if it never will.
    `settled` and `spooled` deal with their own failures: one that escapes stops the worker.
    """

    def __init__(
        self,
        append: Append,
        *,
        spool: Spool | None = None,
        settled: Settled = settle_nothing,
        spooled: Spooled = hold_nothing,
        most_pending: int = MAX_PENDING_RECORDS,
    ) -> None:
        self._append = append
        self._spool = spool or NoSpool()
        self._settled = settled
        self._spooled = spooled
        self._most_pending = most_pending
        self._pending: deque[tuple[float, UsageRecord]] = deque()
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        self._prompt: asyncio.Task[None] | None = None
        # Two at once would take the same records away twice.
        self._moving = asyncio.Lock()
        # PostgreSQL is away; the replay of the spool finds out when it is back.
        self._away = False
        # Nothing takes records: they are in memory only, and a crash would lose them.
        self._exposed = False

    def ensure_room(self) -> None:
        """Raises LedgerFull if another request could not be recorded safely."""
        if self._exposed or len(self._pending) >= self._most_pending:
            raise LedgerFull(retry_after=5)

    def record(self, record: UsageRecord) -> None:
        """Take a record. Never blocks and never refuses: the request has happened."""
        self._pending.append((time.monotonic(), record))
        self._filled.set()
        if len(self._pending) >= BATCH_ROWS:
            self._urgent.set()

    async def run(self) -> None:
        """Write, and replay what was spooled, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write())
            tasks.create_task(self._replay())

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            await self._gather()
            try:
                await self._move_batch()
            except LedgerUnavailable as error:
                log.warning(
                    "ledger: PostgreSQL unavailable (waiting_records=%d, error=%s)",
                    len(self._pending),
                    error,
                )
                await asyncio.sleep(RETRY_SECONDS)

    async def _gather(self) -> None:
        """Give a batch the time to fill up."""
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation, and the stop would hang.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BATCH_SECONDS):
                await self._urgent.wait()

    async def flush(self) -> None:
        """Write all there is, to PostgreSQL or else to the spool.

        Raises LedgerUnavailable if neither takes it, and then has lost nothing.
        """
        while self._pending:
            await self._move_batch()

    async def settle_now(self) -> None:
        """Write what there is without waiting for more, in the batch of whoever asks first.

        Waits no longer than PROMPT_SECONDS, and leaves what then is not written to the writer.
        """
        if not self._pending:
            return
        if self._prompt is None or self._prompt.done():
            self._prompt = asyncio.create_task(self._flush_promptly())
        await asyncio.shield(self._prompt)

    async def _flush_promptly(self) -> None:
        with contextlib.suppress(LedgerUnavailable, TimeoutError):
            async with asyncio.timeout(PROMPT_SECONDS):
                await self.flush()

    async def close(self, *, patience: float) -> None:
        """Write all there is within `patience` seconds, and close the spool.

        What is left then goes to the spool; what that does not take is logged whole.
        """
        try:
            async with asyncio.timeout(patience):
                await self.flush()
        except (LedgerUnavailable, TimeoutError) as error:
            log.warning("ledger: PostgreSQL unavailable at shutdown (error=%s)", error)
            await self._spool_the_rest()
        await asyncio.to_thread(self._spool.close)

    async def _spool_the_rest(self) -> None:
        rest = [record for _, record in self._pending]
        if rest and not await self._spool_batch(rest):
            for record in rest:
                log.critical("ledger: record lost at shutdown: %r", record)

    async def _move_batch(self) -> None:
        async with self._moving:
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
        """Raises LedgerUnavailable if neither PostgreSQL nor the spool takes the batch."""
        if self._away and await self._spool_batch(batch):
            return
        try:
            await self._append_or_halve(batch)
        except LedgerUnavailable:
            self._away = await self._spool_batch(batch)
            self._exposed = not self._away
            if self._exposed:
                raise
        else:
            self._exposed = False

    async def _spool_batch(self, batch: Sequence[UsageRecord]) -> bool:
        """Whether the batch is in the spool now."""
        try:
            await asyncio.to_thread(self._spool.write, batch)
        except SpoolUnwritable as error:
            log.error("ledger: spool unwritable (error=%s)", error)  # noqa: TRY400 - no bug
            return False
        await self._spooled(batch)
        return True

    async def _append_or_halve(self, batch: Sequence[UsageRecord]) -> None:
        """Append a batch; if a record is refused, find it, set it aside, and save the others."""
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
        """Bring what was spooled to PostgreSQL, here or by a worker that died."""
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
        """Whether there may be more to replay at once."""
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
        self._away = False
        return True

    def _report(self) -> None:
        waits = time.monotonic() - self._pending[0][0] if self._pending else 0.0
        spooled = self._spool.events
        metrics.ledger_pending.set(len(self._pending) + spooled)
        metrics.spool_events.set(spooled)
        metrics.ledger_lag.set(max(waits, self._spool.age()))
