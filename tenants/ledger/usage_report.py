"""Parameters and values of usage reports, for doors and pages. Pure.

Sums are by full hours of UTC, so a period is extended to them. In a zone with an offset of half an
hour, a day therefore begins at the full hour of UTC that contains its midnight and ends where the
next one begins: days share no hour, and their sum is that of the period.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from kernel.errors import InvalidParameter

GroupBy = Literal["day", "hour", "agent", "model", "key", "tenant"]
GROUPS: tuple[GroupBy, ...] = ("day", "hour", "agent", "model", "key")
"""Fields by which a tenant may group its usage; operators may also group by tenant."""

MAX_GROUPS = 1000
"""Maximum number of agents, models or keys in a report; all others are one sum."""
DEFAULT_DAYS = 30
MAX_DAYS = 400
MAX_DAYS_BY_HOUR = 31
HOUR = timedelta(hours=1)
MAX_HOURS_DRAWN = 25
"""Maximum hours of a single day. A longer period is displayed by days."""
ALMOST_AN_HOUR = HOUR - timedelta.resolution


class UsageQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a report. Dates are days of the tenant's time zone."""

    tenant_id: int
    begins: datetime | date | None = None
    ends: datetime | date | None = None
    """The exclusive end: a time or a day."""
    group_by: GroupBy = "day"
    limit: int = MAX_GROUPS
    """Maximum number of agents, models or keys. Days and hours are not limited."""


class ReportPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """A period of full hours in UTC; `until` is exclusive."""

    since: datetime
    until: datetime


class UsageSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of usage. Corrections change tokens and cost but not requests. Cost in millionths."""

    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost_micro: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class UsageGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one day, hour, agent, model or key."""

    label: Mapping[str, Any]
    """The label of the group: `{"day": "2026-01-02"}`."""
    sums: UsageSums


class UsageReport(msgspec.Struct, frozen=True, kw_only=True):
    """A report on usage."""

    span: ReportPeriod
    zone: str
    group_by: GroupBy
    groups: tuple[UsageGroup, ...]
    others: UsageSums | None = None
    """The sums of the groups beyond the requested number; None if there are none."""

    @property
    def totals(self) -> UsageSums:
        named = (group.sums for group in self.groups)
        return add_up((*named, self.others or UsageSums()))


class QuotaLine(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of one quota of the caller in its window. Cost is in millionths."""

    scope: str
    unit: str
    period: str
    starts_at: datetime
    ends_at: datetime
    limit: int
    used: int
    hard: bool
    held: int | None = None
    """The amount held by running requests; None if unknown."""

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used - (self.held or 0))


def read_question(*, tenant_id: int, parameters: Mapping[str, str]) -> UsageQuestion:
    """Parse the parameters of a query string. Raises InvalidParameter with the parameter's name."""
    group_by = parameters.get("group_by", "day")
    if group_by not in GROUPS:
        raise InvalidParameter(f"group_by must be one of {', '.join(GROUPS)}.", param="group_by")
    return UsageQuestion(
        tenant_id=tenant_id,
        begins=read_moment(parameters, "from"),
        ends=read_moment(parameters, "to"),
        group_by=group_by,
        limit=read_limit(parameters),
    )


def read_limit(parameters: Mapping[str, str]) -> int:
    """Parse the number of groups. Raises InvalidParameter."""
    text = parameters.get("limit", str(MAX_GROUPS))
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < len("10000") else 0
    if not 1 <= limit <= MAX_GROUPS:
        raise InvalidParameter(f"limit must be a number from 1 to {MAX_GROUPS}.", param="limit")
    return limit


def read_moment(parameters: Mapping[str, str], name: str) -> datetime | date | None:
    """Parse a date, or a date and time with its offset from UTC. Raises InvalidParameter."""
    # An unescaped plus sign arrives as a space.
    text = parameters.get(name, "").strip().replace(" ", "+")
    if not text:
        return None
    try:
        return date.fromisoformat(text) if "T" not in text else datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameter(
            f"{name} must be a date or time, such as 2026-01-31 or 2026-01-31T12:00:00Z.",
            param=name,
        ) from None


def span_of(question: UsageQuestion, *, zone: ZoneInfo, now: datetime) -> ReportPeriod:
    """Return the period of a report, by default 30 days of `zone` including today.

    Raises InvalidParameter for a period that ends before it begins or is too long.
    """
    try:
        until = end_of(question.ends, zone) if question.ends else end_of_hour(now)
        since = moment_of(question.begins or days_before(until, zone), zone)
        span = ReportPeriod(since=floor_hour(since), until=until)
    except OverflowError:
        raise InvalidParameter("from or to is out of range.", param="from") from None
    if span.since >= span.until:
        raise InvalidParameter("to must be later than from.", param="to")
    max_days = MAX_DAYS_BY_HOUR if question.group_by == "hour" else MAX_DAYS
    if span.until - span.since > timedelta(days=max_days):
        raise InvalidParameter(f"from and to may be at most {max_days} days apart.", param="from")
    return span


def end_of(value: datetime | date, zone: ZoneInfo) -> datetime:
    """Return the exclusive end: the hour in which a day begins, or the hour after a time."""
    moment = moment_of(value, zone)
    is_day = moment.astimezone(zone).time() == time()
    return floor_hour(moment) if is_day else end_of_hour(moment)


def end_of_hour(moment: datetime) -> datetime:
    """Round up to a full hour."""
    return floor_hour(moment + ALMOST_AN_HOUR)


def moment_of(value: datetime | date, zone: ZoneInfo) -> datetime:
    """Return a time in UTC. A day, or a time without an offset, is in `zone`."""
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def days_before(until: datetime, zone: ZoneInfo) -> date:
    last = day_of(until - HOUR, zone)
    return last - timedelta(days=DEFAULT_DAYS - 1)


def day_of(hour: datetime, zone: ZoneInfo) -> date:
    """Return the day in `zone` of an hour of UTC; if a day begins in the hour, that day."""
    return (hour + ALMOST_AN_HOUR).astimezone(zone).date()


def floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def subtract(whole: UsageSums, part: UsageSums) -> UsageSums:
    names = UsageSums.__struct_fields__
    return UsageSums(**{name: getattr(whole, name) - getattr(part, name) for name in names})


def add_up(sums: Iterable[UsageSums]) -> UsageSums:
    every = list(sums)
    names = UsageSums.__struct_fields__
    return UsageSums(**{name: sum(getattr(each, name) for each in every) for name in names})


def as_answer(report: UsageReport, *, quotas: Sequence[QuotaLine] = ()) -> dict[str, Any]:
    """Return the response with a report."""
    return {
        "object": "usage",
        "from": report.span.since,
        "to": report.span.until,
        "time_zone": report.zone,
        "group_by": report.group_by,
        "totals": as_facts(report.totals),
        "data": [{**group.label, **as_facts(group.sums)} for group in report.groups],
        "others": None if report.others is None else as_facts(report.others),
        "quotas": [quota_as_answer(quota) for quota in quotas],
    }


def quota_as_answer(quota: QuotaLine) -> dict[str, Any]:
    return {
        "scope": quota.scope,
        "unit": quota.unit,
        "period": quota.period,
        "window": {"starts_at": quota.starts_at, "ends_at": quota.ends_at},
        "limit": quota.limit,
        "used": quota.used,
        "held": quota.held,
        "remaining": quota.remaining,
        "hard": quota.hard,
    }


def as_facts(sums: UsageSums) -> dict[str, int]:
    return {name: getattr(sums, name) for name in UsageSums.__struct_fields__}


class UsageStacks(msgspec.Struct, frozen=True, kw_only=True):
    """Usage by day and name for a chart; by hour if the period is at most one day."""

    days: tuple[date, ...]
    """Every day of the period, or every hour in UTC, including those without usage."""
    zone: str = "UTC"
    """Time zone of the labels."""
    names: tuple[str, ...]
    """The names with the most tokens, then one for all others."""
    cells: Mapping[tuple[date, str], UsageSums]

    @property
    def step(self) -> Literal["day", "hour"]:
        return "hour" if isinstance(self.days[0], datetime) else "day"

    @property
    def labels(self) -> tuple[str, ...]:
        """The label of each day, or of each hour in the zone."""
        return tuple(
            f"{each.astimezone(ZoneInfo(self.zone)):%H:%M}"
            if isinstance(each, datetime)
            else f"{each:%d %b}"
            for each in self.days
        )

    def at(self, day: date, name: str) -> UsageSums:
        return self.cells.get((day, name), UsageSums())

    def of(self, name: str) -> UsageSums:
        """Return the sums of a name over all days."""
        return add_up(self.at(day, name) for day in self.days)


MAX_NAMES = 7
OTHERS = "all others"


def stack_up(
    cells: Iterable[tuple[date, str, UsageSums]],
    *,
    names: Sequence[str],
    span: ReportPeriod,
    zone: ZoneInfo,
) -> UsageStacks:
    """Arrange cells by day or hour. Names beyond the first MAX_NAMES are one series."""
    top = names[:MAX_NAMES]
    stacked: dict[tuple[date, str], UsageSums] = {}
    for day, name, sums in cells:
        place = (day, name if name in top else OTHERS)
        stacked[place] = add_up([stacked.get(place, UsageSums()), sums])
    others = (OTHERS,) if len(names) > MAX_NAMES else ()
    return UsageStacks(
        days=hours_of(span) if is_by_hour(span) else days_of(span, zone),
        zone=zone.key,
        names=(*top, *others),
        cells=stacked,
    )


def is_by_hour(span: ReportPeriod) -> bool:
    """Return whether the period is at most one day, which is displayed by hours."""
    return span.until - span.since <= MAX_HOURS_DRAWN * HOUR


def hours_of(span: ReportPeriod) -> tuple[datetime, ...]:
    return tuple(span.since + number * HOUR for number in range((span.until - span.since) // HOUR))


def days_of(span: ReportPeriod, zone: ZoneInfo) -> tuple[date, ...]:
    first, last = day_of(span.since, zone), day_of(span.until - HOUR, zone)
    return tuple(first + timedelta(days=number) for number in range((last - first).days + 1))


def name_of(label: Mapping[str, Any]) -> str:
    """Return the displayed name of an agent, model or key; the id of a deleted key."""
    if "key_id" in label:
        number, name = label["key_id"], label["key"]
        return f"{name} (#{number})" if name else f"deleted (#{number})" if number else "no key"
    (kind, value), *_ = label.items()
    return str(value or f"no {kind}")
