"""The way up: usage records leave a gateway in small batches, each counted once.

A batch that fails is kept and sent again with the same request ids, which PostgreSQL inserts at
most once; so a lost answer of the database costs nothing but the repetition.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from kernel import metrics
from kernel.errors import Overloaded, PlatformError
from tenants.admission.usage import UsageRecord

log = logging.getLogger(__name__)

BATCH_ROWS = 100
"""So many are written without waiting for more."""
BATCH_SECONDS = 0.03
MOST_BATCH_ROWS = 1000
RETRY_SECONDS = 1.0
MOST_PENDING = 200_000
"""About 100 MB; beyond that new requests are refused rather than served without a record."""

Append = Callable[[Sequence[UsageRecord]], Awaitable[None]]


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


class LedgerWriter:
    """Collects records and appends them.

    `append` raises LedgerUnavailable while it cannot, and RecordRefused if it never will.
    """

    def __init__(self, append: Append, *, most_pending: int = MOST_PENDING) -> None:
        self._append = append
        self._most_pending = most_pending
        self._pending: deque[tuple[float, UsageRecord]] = deque()
        self._filled = asyncio.Event()
        self._urgent = asyncio.Event()
        # Two at once would take the same records away twice.
        self._appending = asyncio.Lock()

    def ensure_room(self) -> None:
        """Raises LedgerFull if another request could not be recorded."""
        if len(self._pending) >= self._most_pending:
            raise LedgerFull(retry_after=5)

    def record(self, record: UsageRecord) -> None:
        """Take a record. Never blocks and never refuses: the request has happened."""
        self._pending.append((time.monotonic(), record))
        self._filled.set()
        if len(self._pending) >= BATCH_ROWS:
            self._urgent.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._filled.wait()
            await self._gather()
            try:
                await self._append_batch()
            except LedgerUnavailable as error:
                log.warning("%d usage events wait for PostgreSQL: %s", len(self._pending), error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _gather(self) -> None:
        """Give a batch the time to fill up."""
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation, and the stop would hang.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BATCH_SECONDS):
                await self._urgent.wait()

    async def flush(self) -> None:
        """Write all there is. Raises LedgerUnavailable and then has lost nothing."""
        while self._pending:
            await self._append_batch()

    async def _append_batch(self) -> None:
        async with self._appending:
            await self._append_oldest()

    async def _append_oldest(self) -> None:
        batch = [record for _, record in islice(self._pending, MOST_BATCH_ROWS)]
        try:
            await self._append_or_halve(batch)
            for _ in batch:
                self._pending.popleft()
        finally:
            self._report()
        if not self._pending:
            self._filled.clear()
        if len(self._pending) < BATCH_ROWS:
            self._urgent.clear()

    async def _append_or_halve(self, batch: Sequence[UsageRecord]) -> None:
        """Append a batch; if a record is refused, find it, log it whole, and save the others."""
        try:
            await self._append(batch)
        except RecordRefused as error:
            if len(batch) == 1:
                log.critical("a usage event was refused (%s): %r", error, batch[0])
                return
            middle = len(batch) // 2
            await self._append_or_halve(batch[:middle])
            await self._append_or_halve(batch[middle:])

    def _report(self) -> None:
        oldest = self._pending[0][0] if self._pending else None
        metrics.ledger_pending.set(len(self._pending))
        metrics.ledger_lag.set(time.monotonic() - oldest if oldest else 0.0)
