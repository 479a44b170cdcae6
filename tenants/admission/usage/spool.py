"""Storage of usage records on disk while PostgreSQL is unavailable, so that they survive a crash.

Methods block on the disk; call them in a thread.
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
    """Records of one spool file, and the offset of their end in it."""

    records: tuple[UsageRecord, ...]
    file: Any
    """The file of the spool that has the records."""
    end: int
    lines: int
    """Number of lines, including unreadable ones."""


class Spool(Protocol):
    """Stores records until `forget`."""

    @property
    def events(self) -> int:
        """Number of stored records, including those of claimed files."""

    def age(self) -> float:
        """Return an upper bound of the age of the oldest record in seconds; 0 without records."""

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Store records durably. Raises SpoolUnwritable."""

    def set_aside(self, record: UsageRecord) -> None:
        """Store a record that the ledger refuses, for the operator."""

    def claim(self) -> None:
        """Take over the files of dead workers."""

    def oldest(self, max_records: int) -> SpooledBatch | None:
        """Return the oldest records; the same ones again until `forget` is called."""

    def forget(self, batch: SpooledBatch) -> None:
        """Delete records that are in the ledger."""

    def close(self) -> None:
        """Release all files, for other workers to claim."""


class NoSpool:
    """A spool that stores nothing."""

    events = 0

    def age(self) -> float:
        return 0.0

    def write(self, records: Sequence[UsageRecord]) -> None:
        raise SpoolUnwritable

    def set_aside(self, record: UsageRecord) -> None:
        """Do nothing, because the writer has logged the record."""

    def claim(self) -> None:
        """Do nothing."""

    def oldest(self, max_records: int) -> SpooledBatch | None:
        return None

    def forget(self, batch: SpooledBatch) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""
