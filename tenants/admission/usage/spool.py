"""Where usage records wait while PostgreSQL is away: files that survive a crash of the worker.

Its methods block on the disk, so they are called on threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from kernel.errors import PlatformError
from tenants.admission.usage.records import UsageRecord


class SpoolUnwritable(PlatformError):
    """Usage cannot be written to the spool."""

    code = "spool_unwritable"
    status = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class SpooledBatch:
    """Records of one file, and where they end in it."""

    records: tuple[UsageRecord, ...]
    file: Any
    """The spool's own."""
    end: int
    lines: int
    """How many it had, unreadable ones included."""


class Spool(Protocol):
    """Keeps records until they are forgotten."""

    @property
    def events(self) -> int:
        """How many records wait here, those of claimed files included."""

    def age(self) -> float:
        """Seconds since the oldest of them came, at most; 0 if there is none."""

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Keep records. Once this returns they survive a crash. Raises SpoolUnwritable."""

    def set_aside(self, record: UsageRecord) -> None:
        """Keep a record that the ledger will never take, for people."""

    def claim(self) -> None:
        """Take over what workers left that are no more."""

    def oldest(self, most: int) -> SpooledBatch | None:
        """The next records to replay; the same again until they are forgotten."""

    def forget(self, batch: SpooledBatch) -> None:
        """These records are in the ledger."""

    def close(self) -> None:
        """Leave what is there to others."""


class NoSpool:
    """Keeps nothing, and says so."""

    events = 0

    def age(self) -> float:
        return 0.0

    def write(self, records: Sequence[UsageRecord]) -> None:
        raise SpoolUnwritable

    def set_aside(self, record: UsageRecord) -> None:
        """The log has it."""

    def claim(self) -> None:
        """There is nothing."""

    def oldest(self, most: int) -> SpooledBatch | None:
        return None

    def forget(self, batch: SpooledBatch) -> None:
        """There is nothing."""

    def close(self) -> None:
        """There is nothing."""
