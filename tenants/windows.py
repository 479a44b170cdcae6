"""Quota windows: pure calendar arithmetic. A reset is a new window, not a job that zeroes.

Promises (ADMISSION, "Windows"): the windows of a calendar tile the line; a local boundary that does
not exist moves to the first instant after the gap, a double one is taken the first time; anchors on
the 29th, 30th and 31st clamp to the month's end and never drift.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

Period = Literal["hour", "day", "week", "month", "quarter", "days", "months"]
"""`days` and `months` are every so many from an anchor; the others are the calendar's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When windows begin: at `start_hour` o'clock in `zone` (IANA name)."""

    period: Period
    zone: str = "UTC"
    start_hour: int = 0
    every: int = 1
    """How many days or months an anchored window is long; 1 for the others."""
    anchor: date | None = None
    """The first day of an anchored calendar; windows before it are found just the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of time, its end excluded. Both ends are in UTC and on a full second."""

    start: datetime
    end: datetime

    @property
    def id(self) -> str:
        """Seconds since 1970 of start and end: `1793491200-1796083200`."""
        return f"{int(self.start.timestamp())}-{int(self.end.timestamp())}"

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def window_of_id(window: str) -> Window:
    """The window whose `id` this is."""
    start, end = map(int, window.split("-"))
    return Window(start=datetime.fromtimestamp(start, UTC), end=datetime.fromtimestamp(end, UTC))


def window_at(moment: datetime, calendar: Calendar, *, pinned: Window | None = None) -> Window:
    """The window in which `moment` lies.

    `pinned` is a window that has begun under an older rule: it ends as it was to end, and the
    first window of `calendar` begins there, however long it then is.
    """
    raise NotImplementedError
