"""Bounds that change with the clock on the wall: when each schedule is in force. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from inference.scaling.decision.types import Bounds

DAY = timedelta(days=1)
LOOKED_AHEAD_DAYS = 366
"""For overlaps: a year has every combination of weekday and daylight saving."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """One schedule: on some weekdays, from one time to another, so many replicas."""

    name: str
    zone: str
    weekdays: frozenset[int]
    """0 is Monday. The day on which it begins, where it ends after midnight."""
    starts: time
    ends: time
    """At or before `starts`: on the next day."""
    least: int
    most: int
    first_day: date | None = None
    """In the zone, as `last_day`; None: no such end."""
    last_day: date | None = None


class Span(NamedTuple):
    """Once that a schedule is in force, in UTC; its end does not belong to it."""

    starts: datetime
    ends: datetime
    hours: Hours


def bounds_at(moment: datetime, schedules: Sequence[Hours], *, otherwise: Bounds) -> Bounds:
    """The bounds of the schedule that is in force, or else the policy's own."""
    for hours in schedules:
        local = moment.astimezone(ZoneInfo(hours.zone)).date()
        for span in spans_between(hours, local - DAY, local + DAY):
            if span.starts <= moment < span.ends:
                return Bounds(least=hours.least, most=hours.most, schedule=hours.name)
    return otherwise


def next_span(schedules: Sequence[Hours], *, after: datetime) -> Span | None:
    """What is in force next, within the coming eight days."""
    found = [
        span
        for hours in schedules
        for span in spans_between(hours, after.date() - DAY, after.date() + 8 * DAY)
        if span.starts > after
    ]
    return min(found, default=None, key=lambda span: span.starts)


def first_overlap(schedules: Sequence[Hours], *, today: date) -> tuple[Span, Span] | None:
    """Two schedules that want to be in force at the same moment within the next year."""
    last = today + LOOKED_AHEAD_DAYS * DAY
    spans = sorted(
        (span for hours in schedules for span in spans_between(hours, today - DAY, last)),
        key=lambda span: (span.starts, span.ends),
    )
    return next(((a, b) for a, b in pairwise(spans) if b.starts < a.ends), None)


def spans_between(hours: Hours, first: date, last: date) -> Iterator[Span]:
    """Those that begin on a day between the two, which belong to it, too.

    A time that a change to daylight saving leaves out is as long after midnight as it would have
    been; one that comes twice is meant the first time.
    """
    day = max(first, hours.first_day or first)
    end = min(last, hours.last_day or last)
    zone = ZoneInfo(hours.zone)
    while day <= end:
        if day.weekday() in hours.weekdays:
            until = day + DAY if hours.ends <= hours.starts else day
            yield Span(
                starts=datetime.combine(day, hours.starts, tzinfo=zone).astimezone(UTC),
                ends=datetime.combine(until, hours.ends, tzinfo=zone).astimezone(UTC),
                hours=hours,
            )
        day += DAY
