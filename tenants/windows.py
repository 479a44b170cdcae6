"""Quota windows: pure calendar arithmetic. A reset is a new window; no job sets counters to 0.

Guarantees (admission.md, "Windows"): windows have no gaps and do not overlap; a boundary at a local
time that does not exist moves to the first instant after the gap, and one at a repeated local time
is at its first occurrence; anchors on the 29th, 30th and 31st are clamped to the month's end and
do not drift.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["hour", "day", "week", "month", "quarter", "days", "months"]
"""`days` and `months` are periods of N days or months from an anchor; the others have none."""

HOUR = 3600
SECOND = timedelta(seconds=1)

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "quarter": 3}
"""Lengths of calendar periods in months; the length of `days` and `months` is `every`."""

ORIGIN = date(1969, 12, 29)
"""The origin of calendar days and weeks, a Monday."""
FIRST_MONTH = date(1970, 1, 1)
"""The origin of calendar months and quarters, the first day of a quarter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The calendar of windows, which begin at `start_hour` o'clock in `zone` (IANA name).

    Windows of an hour begin at full hours in `zone`.
    """

    period: Period
    zone: str = "UTC"
    start_hour: int = 0
    every: int = 1
    """Length of an anchored window in days or months; 1 for calendar periods."""
    anchor: date | None = None
    """The first day of an anchored calendar. Earlier windows are computed too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A period with an exclusive end. Start and end are in UTC, in whole seconds."""

    start: datetime
    end: datetime

    @property
    def id(self) -> str:
        """Seconds since 1970 of start and end: `1793491200-1796083200`."""
        return f"{int(self.start.timestamp())}-{int(self.end.timestamp())}"

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def window_of_id(window: str) -> Window:
    """Return the window with this `id`. Raises ValueError for an invalid id."""
    start, end = map(int, window.rsplit("-", 1))
    return Window(start=datetime.fromtimestamp(start, UTC), end=datetime.fromtimestamp(end, UTC))


def window_at(moment: datetime, calendar: Calendar, *, pinned: Window | None = None) -> Window:
    """Return the window that contains `moment`.

    `pinned` is a window that began under an earlier calendar. It keeps its end, where the first
    window of `calendar` begins, which may therefore be shorter.
    """
    if pinned is not None and moment in pinned:
        return pinned
    find = hour_at if calendar.period == "hour" else period_at
    found = find(moment.astimezone(UTC), calendar)
    if pinned is None:
        return found
    if moment < pinned.start:
        return Window(start=found.start, end=min(found.end, pinned.start))
    return Window(start=max(found.start, pinned.end), end=found.end)


def windows_after(last: Window, calendar: Calendar, *, until: datetime) -> Iterator[Window]:
    """Yield the windows after `last`, up to the one that contains `until`."""
    while last.end <= until:
        last = window_at(last.end, calendar, pinned=last)
        yield last


def period_at(moment: datetime, calendar: Calendar) -> Window:
    """Return the window of a calendar of days or months."""
    zone = ZoneInfo(calendar.zone)
    number = number_of(moment.astimezone(zone).date(), calendar)
    # The number ignores the hour and offsets of the zone, so it may be off by a few windows.
    while boundary(calendar, number, zone) > moment:
        number -= 1
    while boundary(calendar, number + 1, zone) <= moment:
        number += 1
    return Window(start=boundary(calendar, number, zone), end=boundary(calendar, number + 1, zone))


def boundary(calendar: Calendar, number: int, zone: ZoneInfo) -> datetime:
    """Return the start of window `number` in UTC."""
    day = first_day(calendar, number)
    return first_instant(datetime.combine(day, time(calendar.start_hour)), zone)


def number_of(day: date, calendar: Calendar) -> int:
    """Return the number of the last window that begins on or before `day`."""
    origin = origin_of(calendar)
    if length := days_long(calendar):
        return (day - origin).days // length
    return (months_of(day) - months_of(origin)) // months_long(calendar)


def first_day(calendar: Calendar, number: int) -> date:
    """Return the first day of window `number`, computed from the origin."""
    origin = origin_of(calendar)
    if length := days_long(calendar):
        return origin + timedelta(days=number * length)
    year, month = divmod(months_of(origin) + number * months_long(calendar), 12)
    return date(year, month + 1, min(origin.day, monthrange(year, month + 1)[1]))


def origin_of(calendar: Calendar) -> date:
    """Return the first day of window 0. Raises ValueError if an anchored calendar has no anchor."""
    if calendar.period in {"days", "months"}:
        if calendar.anchor is None:
            raise ValueError("an anchored calendar needs an anchor")
        return calendar.anchor
    return ORIGIN if calendar.period in DAYS else FIRST_MONTH


def days_long(calendar: Calendar) -> int:
    """Return the length of a window in days; 0 for windows of months."""
    return calendar.every if calendar.period == "days" else DAYS.get(calendar.period, 0)


def months_long(calendar: Calendar) -> int:
    return MONTHS.get(calendar.period, calendar.every)


def months_of(day: date) -> int:
    """Return the number of months since the year 0."""
    return day.year * 12 + day.month - 1


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first UTC time at which the local time in `zone` is `wall` or later."""
    # Fold 0 is the first occurrence of a repeated time. In a gap it uses the offset before it.
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if local_time(instant, zone) == wall:
        return instant
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return first_second(lambda second: local_time(second, zone) >= wall, after=before, by=instant)


def first_second(holds: Callable[[datetime], bool], *, after: datetime, by: datetime) -> datetime:
    """Return the first whole second after `after`, and at most `by`, for which `holds` is true."""
    while by - after > SECOND:
        middle = after + timedelta(seconds=(by - after) // SECOND // 2)
        after, by = (after, middle) if holds(middle) else (middle, by)
    return by


def local_time(instant: datetime, zone: ZoneInfo) -> datetime:
    """Return the local time in `zone`, without the zone."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def hour_at(moment: datetime, calendar: Calendar) -> Window:
    """Return the window of the local hour, also an hour long if clocks shift by full hours.

    A shift by part of an hour shortens it, because full hours then begin at other minutes.
    """
    zone = ZoneInfo(calendar.zone)
    second = moment.replace(microsecond=0)
    shift = past_the_hour(second, zone)
    past = (int(second.timestamp()) + shift) % HOUR
    start = second - past * SECOND
    end = start + HOUR * SECOND
    if past_the_hour(start, zone) != shift:
        start = first_second(
            lambda other: past_the_hour(other, zone) == shift, after=start, by=second
        )
    if past_the_hour(end - SECOND, zone) != shift:
        end = first_second(lambda other: past_the_hour(other, zone) != shift, after=second, by=end)
    return Window(start=start, end=end)


def past_the_hour(moment: datetime, zone: ZoneInfo) -> int:
    """Return the offset of full hours in `zone` from full hours in UTC, in seconds."""
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    return offset // SECOND % HOUR
