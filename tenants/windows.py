"""Quota windows: pure calendar arithmetic. A reset is a new window, not a job that zeroes.

Promises (ADMISSION, "Windows"): the windows of a calendar tile the line; a local boundary that does
not exist moves to the first instant after the gap, a double one is taken the first time; anchors on
the 29th, 30th and 31st clamp to the month's end and never drift.
"""

from calendar import monthrange
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Period = Literal["hour", "day", "week", "month", "quarter", "days", "months"]
"""`days` and `months` are every so many from an anchor; the others are the calendar's own."""

HOUR = 3600
SECOND = timedelta(seconds=1)

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "quarter": 3}
"""How long the calendar's own periods are; `days` and `months` are `every` long."""

ORIGIN = date(1969, 12, 29)
"""A Monday; from it the calendar's own days and weeks are counted."""
FIRST_MONTH = date(1970, 1, 1)
"""It begins a quarter; from it the calendar's own months and quarters are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """When windows begin: at `start_hour` o'clock in `zone` (IANA name).

    Hours begin with the clock's full hours in `zone`.
    """

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
    """The window whose `id` this is. Raises ValueError if it is none."""
    start, end = map(int, window.rsplit("-", 1))
    return Window(start=datetime.fromtimestamp(start, UTC), end=datetime.fromtimestamp(end, UTC))


def window_at(moment: datetime, calendar: Calendar, *, pinned: Window | None = None) -> Window:
    """The window in which `moment` lies.

    `pinned` is a window that has begun under an older rule: it ends as it was to end, and the
    first window of `calendar` begins there, however long it then is.
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
    """The windows that follow `last`, up to the one in which `until` lies."""
    while last.end <= until:
        last = window_at(last.end, calendar, pinned=last)
        yield last


def period_at(moment: datetime, calendar: Calendar) -> Window:
    """The window of a calendar of days or months."""
    zone = ZoneInfo(calendar.zone)
    number = number_of(moment.astimezone(zone).date(), calendar)
    # The guess is by the date alone; the hour and the zone's jumps make it one off, at most a few.
    while boundary(calendar, number, zone) > moment:
        number -= 1
    while boundary(calendar, number + 1, zone) <= moment:
        number += 1
    return Window(start=boundary(calendar, number, zone), end=boundary(calendar, number + 1, zone))


def boundary(calendar: Calendar, number: int, zone: ZoneInfo) -> datetime:
    """When window `number` begins, in UTC."""
    day = first_day(calendar, number)
    return first_instant(datetime.combine(day, time(calendar.start_hour)), zone)


def number_of(day: date, calendar: Calendar) -> int:
    """The number of the window that begins last, by the date, on `day` or before."""
    origin = origin_of(calendar)
    if length := days_long(calendar):
        return (day - origin).days // length
    return (months_of(day) - months_of(origin)) // months_long(calendar)


def first_day(calendar: Calendar, number: int) -> date:
    """The first day of window `number`, computed from the origin so that nothing drifts."""
    origin = origin_of(calendar)
    if length := days_long(calendar):
        return origin + timedelta(days=number * length)
    year, month = divmod(months_of(origin) + number * months_long(calendar), 12)
    return date(year, month + 1, min(origin.day, monthrange(year, month + 1)[1]))


def origin_of(calendar: Calendar) -> date:
    """The first day of window 0. Raises ValueError for an anchored calendar without anchor."""
    if calendar.period in {"days", "months"}:
        if calendar.anchor is None:
            raise ValueError("an anchored calendar needs an anchor")
        return calendar.anchor
    return ORIGIN if calendar.period in DAYS else FIRST_MONTH


def days_long(calendar: Calendar) -> int:
    """How many days a window is long; 0 for windows of months."""
    return calendar.every if calendar.period == "days" else DAYS.get(calendar.period, 0)


def months_long(calendar: Calendar) -> int:
    return MONTHS.get(calendar.period, calendar.every)


def months_of(day: date) -> int:
    """Months since the year 0."""
    return day.year * 12 + day.month - 1


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """When clocks in `zone` first show `wall` (without a zone) or more, in UTC."""
    # Of a double time, the fold 0 is the first; in a gap, it counts on with the offset before.
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if shown(instant, zone) == wall:
        return instant
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return first_second(lambda second: shown(second, zone) >= wall, after=before, by=instant)


def first_second(holds: Callable[[datetime], bool], *, after: datetime, by: datetime) -> datetime:
    """The first full second in which `holds`: it does not `after`, does `by`, and stays so."""
    while by - after > SECOND:
        middle = after + timedelta(seconds=(by - after) // SECOND // 2)
        after, by = (after, middle) if holds(middle) else (middle, by)
    return by


def shown(instant: datetime, zone: ZoneInfo) -> datetime:
    """What clocks in `zone` show, without the zone."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def hour_at(moment: datetime, calendar: Calendar) -> Window:
    """A real hour that begins with a full one on the clock: past a shift of hours, on they go.

    A shift by part of an hour cuts one short, because full hours then begin at other minutes.
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
    """By how many seconds full hours in `zone` differ from those of UTC."""
    offset = moment.astimezone(zone).utcoffset() or timedelta()
    return offset // SECOND % HOUR
