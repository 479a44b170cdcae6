"""Computes when each schedule is active. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from inference.scaling.decision.types import Bounds

DAY = timedelta(days=1)
OVERLAP_SEARCH_DAYS = 366
"""Days in which overlaps are searched: a year has all weekdays and time changes."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """One schedule: bounds for a time of the week."""

    name: str
    zone: str
    weekdays: frozenset[int]
    """Days on which the schedule starts; 0 is Monday."""
    starts: time
    ends: time
    """A time at or before `starts` is on the next day."""
    min_replicas: int
    max_replicas: int
    first_day: date | None = None
    """First day in the time zone; None: no limit."""
    last_day: date | None = None


class ScheduledPeriod(NamedTuple):
    """One activation of a schedule in UTC; the end is exclusive."""

    starts: datetime
    ends: datetime
    hours: Hours


def bounds_at(moment: datetime, schedules: Sequence[Hours], *, otherwise: Bounds) -> Bounds:
    """Return the bounds of the active schedule, or else those of the policy."""
    for hours in schedules:
        local = moment.astimezone(ZoneInfo(hours.zone)).date()
        for span in spans_between(hours, local - DAY, local + DAY):
            if span.starts <= moment < span.ends:
                return Bounds(
                    min_replicas=hours.min_replicas,
                    max_replicas=hours.max_replicas,
                    schedule=hours.name,
                )
    return otherwise


def next_span(schedules: Sequence[Hours], *, after: datetime) -> ScheduledPeriod | None:
    """Return the next activation within eight days."""
    found = [
        span
        for hours in schedules
        for span in spans_between(hours, after.date() - DAY, after.date() + 8 * DAY)
        if span.starts > after
    ]
    return min(found, default=None, key=lambda span: span.starts)


def first_overlap(
    schedules: Sequence[Hours], *, today: date
) -> tuple[ScheduledPeriod, ScheduledPeriod] | None:
    """Return the first overlap of two schedules within the next year."""
    last = today + OVERLAP_SEARCH_DAYS * DAY
    spans = sorted(
        (span for hours in schedules for span in spans_between(hours, today - DAY, last)),
        key=lambda span: (span.starts, span.ends),
    )
    return next(((a, b) for a, b in pairwise(spans) if b.starts < a.ends), None)


def spans_between(hours: Hours, first: date, last: date) -> Iterator[ScheduledPeriod]:
    """Yield the activations that start between two days, inclusive.

    A local time that daylight saving skips is resolved as before the change; of a repeated local
    time the first is used.
    """
    day = max(first, hours.first_day or first)
    end = min(last, hours.last_day or last)
    zone = ZoneInfo(hours.zone)
    while day <= end:
        if day.weekday() in hours.weekdays:
            until = day + DAY if hours.ends <= hours.starts else day
            yield ScheduledPeriod(
                starts=datetime.combine(day, hours.starts, tzinfo=zone).astimezone(UTC),
                ends=datetime.combine(until, hours.ends, tzinfo=zone).astimezone(UTC),
                hours=hours,
            )
        day += DAY
