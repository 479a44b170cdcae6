"""Cron expressions in time zones: which times they mean. Pure.

Celery's `crontab` parses a field, but computes in one zone and combines the two fields of days with
"and"; here they are combined with "or" if both are restricted, as cron does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from celery.schedules import ParseException, crontab_parser

from agents.errors import CronNeverFires, InvalidCron
from kernel.time_zones import is_time_zone

FIELDS = (
    ("minute", 60, 0),
    ("hour", 24, 0),
    ("day of the month", 31, 1),
    ("month", 12, 1),
    ("day of the week", 7, 0),
)
"""The name of each field, the number of its values, and the first of them."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SHORTCUTS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
MAX_EXPRESSION_CHARS = 100
MAX_DAYS = 366 * 8 + 1
"""29 February may be eight years away."""
PART = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/[1-9][0-9]?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class CronExpression:
    """The values of each field, and the zone in which they are meant."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    """0 is Sunday."""
    any_day: bool
    """Whether the day of the month, or of the week, begins with `*`: then both must match."""
    zone: ZoneInfo

    def times_after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the times after `moment`, in UTC. Ends if there is none within eight years.

        A local time that does not exist, because clocks are set forward, is moved by as much. One
        that exists twice is used once, or twice by an expression for every hour.
        """
        first = moment.astimezone(self.zone).date() - timedelta(days=1)
        for day in (first + timedelta(days=n) for n in range(MAX_DAYS)):
            if self._matches(day):
                yield from (each for each in self._times_of(day) if each > moment)

    def _matches(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month and by_week if self.any_day else by_month or by_week

    def _times_of(self, day: date) -> list[datetime]:
        folds = (0, 1) if len(self.hours) == len(range(24)) else (0,)
        times = {
            datetime.combine(day, time(hour, minute, fold=fold), self.zone).astimezone(UTC)
            for hour in self.hours
            for minute in self.minutes
            for fold in folds
        }
        return sorted(times)


def parse_cron(text: str, *, zone: str) -> CronExpression:
    """Return the expression. Raises InvalidCron, and CronNeverFires."""
    if not is_time_zone(zone):
        raise InvalidCron(
            f"{zone!r} is not a time zone. Use an IANA name, such as Europe/Berlin or UTC.",
            param="time_zone",
        )
    text = SHORTCUTS.get(text.strip().lower(), text)
    parts = text.split() if len(text) <= MAX_EXPRESSION_CHARS else []
    if len(parts) != len(FIELDS):
        raise InvalidCron(param="cron")
    minutes, hours, days, months, weekdays = (
        parse_field(part, *field) for part, field in zip(parts, FIELDS, strict=True)
    )
    expression = CronExpression(
        minutes=minutes,
        hours=hours,
        days=days,
        months=months,
        weekdays=weekdays,
        any_day=parts[2].startswith("*") or parts[4].startswith("*"),
        zone=ZoneInfo(zone),
    )
    if next(expression.times_after(datetime(2000, 1, 1, tzinfo=UTC)), None) is None:
        raise CronNeverFires(param="cron")
    return expression


def parse_field(text: str, name: str, size: int, first: int) -> frozenset[int]:
    """Return the values of one field. Raises InvalidCron, which names the field."""
    numbered = with_numbers(text.lower(), name)
    wrong = InvalidCron(
        f"{text!r} is not a {name}. Use numbers from {first} to {first + size - 1}, `*`, ranges "
        "`1-5`, steps `*/5` and lists `1,3`.",
        param="cron",
    )
    if not all(map(is_part, numbered.split(","))):
        raise wrong
    try:
        found = crontab_parser(size, first).parse(numbered)
    except (ParseException, ValueError):
        raise wrong from None
    return frozenset(found)


def is_part(text: str) -> bool:
    """Return whether a member of a list has the form of one. Celery reads 5-2 as 5-59,0-2."""
    form = PART.fullmatch(text)
    return form is not None and int(form[2] or form[1] or 0) >= int(form[1] or 0)


def with_numbers(text: str, name: str) -> str:
    """Return a field with numbers instead of names. Sunday is 0, and also 7."""
    names = {"month": MONTHS, "day of the week": DAYS}.get(name, ())
    for number, word in enumerate(names, start=1 if name == "month" else 0):
        text = re.sub(rf"\b{word}\b", str(number), text)
    if name == "day of the week":
        # A range to 7, such as 5-7, becomes 5-6,0.
        text = re.sub(r"\b([1-6])-7\b(?!/)", r"\1-6,0", text)
        text = re.sub(r"(?<![-/\d])7\b(?![-/])", "0", text)
    return text


def next_times(expression: CronExpression, *, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` times."""
    return list(islice(expression.times_after(after), count))
