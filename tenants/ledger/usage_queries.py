"""Sums of usage, for doors and pages. All queries need a tenant scope.

They read the hourly roll-ups; only filters by columns that these lack read the ledger itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import (
    Case,
    Count,
    DateTimeField,
    ExpressionWrapper,
    F,
    IntegerField,
    Q,
    QuerySet,
    Sum,
    When,
)
from django.db.models.functions import TruncDate

from kernel.errors import NotFound
from tenants.ledger.usage_report import (
    ALMOST_AN_HOUR,
    MAX_NAMES,
    OTHERS,
    GroupBy,
    ReportPeriod,
    UsageGroup,
    UsageQuestion,
    UsageReport,
    UsageStacks,
    UsageSums,
    add_up,
    is_by_hour,
    name_of,
    span_of,
    stack_up,
    subtract,
)
from tenants.models import ApiKey, Tenant, UsageEvent, UsageHour
from tenants.scoping import tenant_scope

MAX_SUMMED_EVENTS = 10_000
"""Maximum number of ledger events that a page sums up."""

MAX_SUMMED_ROLLUPS = 10_000
"""Maximum number of hourly rows that a list page sums up; the usage page sums up all."""

SUMS = {name: Sum(name, default=0) for name in UsageSums.__struct_fields__}

NAMES = ", ".join(SUMS)
# MATERIALIZED, so that the hours are read once, for the top groups and for the total.
RANKED = f"""
    WITH grouped ("group", {NAMES}) AS MATERIALIZED ({{grouped}})
    SELECT top.*, whole.* FROM (
        SELECT * FROM grouped ORDER BY prompt_tokens + completion_tokens DESC, "group" LIMIT %s
    ) AS top, (
        SELECT {", ".join(f"sum({name})" for name in SUMS)} FROM grouped
    ) AS whole
    ORDER BY prompt_tokens + completion_tokens DESC, "group"
"""  # noqa: S608 - only names of our own columns

COLUMNS = {
    "hour": "hour",
    "agent": "agent",
    "model": "route",
    "key": "api_key_id",
    "tenant": "tenant_id",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums of usage events. Corrections change the tokens but do not count as requests."""

    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    since: datetime | None = None
    """The first hour that is included; None for all hours, or for sums of events."""
    is_partial: bool = False
    """Whether only the newest MAX_SUMMED_EVENTS events are included."""


def total_hours(hours: QuerySet[UsageHour]) -> UsageTotals:
    """Return the sums of `hours`; beyond MAX_SUMMED_ROLLUPS rows those of the newest full hours."""
    newest = hours.order_by("-hour").values_list("hour", flat=True)
    since = newest[MAX_SUMMED_ROLLUPS : MAX_SUMMED_ROLLUPS + 1].first()
    summed = hours.filter(hour__gte=since) if since else hours
    names = ("requests", "failed", "prompt_tokens", "completion_tokens")
    sums = summed.order_by().aggregate(**{name: SUMS[name] for name in names})
    return UsageTotals(**sums, since=since)


def total_events(events: QuerySet[UsageEvent]) -> UsageTotals:
    """Return the sums of the newest MAX_SUMMED_EVENTS of `events`."""
    is_request = ~Q(kind=UsageEvent.Kind.CORRECTION)
    newest = events.select_related(None).order_by("-started_at")[:MAX_SUMMED_EVENTS]
    sums = newest.aggregate(
        rows=Count("pk"),
        requests=Count("pk", filter=is_request),
        failed=Count("pk", filter=is_request & Q(status=UsageEvent.Status.FAILED)),
        prompt_tokens=Sum("prompt_tokens", default=0),
        completion_tokens=Sum("completion_tokens", default=0),
    )
    rows = sums.pop("rows")
    return UsageTotals(**sums, is_partial=rows == MAX_SUMMED_EVENTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSummary:
    """The usage of all tenants together since a time."""

    requests: int
    failed: int
    tenants: int
    prompt_tokens: int
    completion_tokens: int


def summarise_usage(*, since: datetime) -> UsageSummary:
    """Return the sums of the tenants in scope since the full hour `since`."""
    names = ("requests", "failed", "prompt_tokens", "completion_tokens")
    return UsageSummary(
        **UsageHour.objects.filter(hour__gte=since).aggregate(
            tenants=Count("tenant_id", distinct=True), **{name: SUMS[name] for name in names}
        )
    )


def requests_by_hour(*, since: datetime) -> dict[datetime, int]:
    """Return the requests of the tenants in scope by the hour (UTC) in which they began."""
    hours = UsageHour.objects.filter(hour__gte=since).order_by().values("hour")
    return dict(hours.annotate(sum=SUMS["requests"]).values_list("hour", "sum"))


def load_usage(question: UsageQuestion, *, now: datetime) -> UsageReport:
    """Return the report for one tenant. Raises InvalidParameter for an invalid span."""
    with tenant_scope(question.tenant_id):
        tenant = Tenant.objects.filter(pk=question.tenant_id).first()
        if tenant is None:
            raise NotFound
        return report_usage(question, zone=tenant.time_zone, now=now)


def report_usage(question: UsageQuestion, *, zone: str, now: datetime) -> UsageReport:
    """Return the report for the tenants in scope by days of `zone`. Raises InvalidParameter."""
    span = span_of(question, zone=ZoneInfo(zone), now=now)
    hours = hours_in(span)
    if question.group_by in {"day", "hour"}:
        rows, others = sum_times(hours, question.group_by, zone=ZoneInfo(zone)), None
    else:
        rows, others = sum_top_groups(hours, COLUMNS[question.group_by], limit=question.limit)
    labels = label_groups(question.group_by, [row["group"] for row in rows])
    groups = tuple(
        UsageGroup(label=label, sums=sums_of(row)) for label, row in zip(labels, rows, strict=True)
    )
    return UsageReport(
        span=span, zone=zone, group_by=question.group_by, groups=groups, others=others
    )


def hours_in(span: ReportPeriod) -> QuerySet[UsageHour]:
    """Return the hours of the tenants in scope, unordered."""
    return UsageHour.objects.filter(hour__gte=span.since, hour__lt=span.until).order_by()


def sum_times(
    hours: QuerySet[UsageHour], group_by: GroupBy, *, zone: ZoneInfo
) -> list[dict[str, Any]]:
    """Return the sums of each day or hour, sorted by time."""
    group = day_of_hour(zone) if group_by == "day" else F("hour")
    rows: list[Any] = list(hours.annotate(group=group).values("group").annotate(**SUMS))
    return sorted(rows, key=itemgetter("group"))


def sum_top_groups(
    hours: QuerySet[UsageHour], column: str, *, limit: int
) -> tuple[list[dict[str, Any]], UsageSums | None]:
    """Return the sums of the `limit` groups with the most tokens, and of all others together.

    PostgreSQL ranks the groups, so that only these rows are read, even of many thousand keys.
    """
    grouped: Any = hours.annotate(group=F(column)).values("group").annotate(**SUMS)
    sql, parameters = grouped.query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(RANKED.format(grouped=sql), [*parameters, limit + 1])
        found = list(cursor)
    rows = [{"group": group, **named_sums(sums[: len(SUMS)])} for group, *sums in found[:limit]]
    if len(found) <= limit:
        return rows, None
    whole = UsageSums(**named_sums(found[0][-len(SUMS) :]))
    return rows, subtract(whole, add_up(map(sums_of, rows)))


def named_sums(sums: Sequence[Decimal]) -> dict[str, int]:
    """Convert PostgreSQL's sums, in the order of SUMS, to whole numbers by name."""
    return dict(zip(SUMS, map(int, sums), strict=True))


def sums_of(row: dict[str, Any]) -> UsageSums:
    return UsageSums(**{name: row[name] for name in SUMS})


def day_of_hour(zone: ZoneInfo) -> TruncDate:
    """Return the SQL expression of `usage_report.day_of`."""
    last = ExpressionWrapper(F("hour") + ALMOST_AN_HOUR, output_field=DateTimeField())
    return TruncDate(last, tzinfo=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedUsage:
    """Usage for the chart of a page: the period, its sums, and the stacks by day or hour."""

    span: ReportPeriod
    totals: UsageSums
    stacks: UsageStacks


def stack_usage(question: UsageQuestion, *, zone: str, now: datetime) -> StackedUsage:
    """Return the usage of the tenants in scope by day, or by hour for a single day.

    PostgreSQL ranks the groups, so that only the displayed ones are read, even of many thousand
    keys. Raises InvalidParameter.
    """
    span = span_of(question, zone=ZoneInfo(zone), now=now)
    hours = hours_in(span)
    column = COLUMNS[question.group_by]
    top = top_groups(hours, column)
    names = [name_of(label) for label in label_groups(question.group_by, top)]
    ranks = (When(**{column: value}, then=number) for number, value in enumerate(top))
    ranked = hours.annotate(
        day=F("hour") if is_by_hour(span) else day_of_hour(ZoneInfo(zone)),
        rank=Case(*ranks, default=len(top), output_field=IntegerField()),
    )
    rows: list[Any] = list(ranked.values("day", "rank").annotate(**SUMS))
    cells = [(row["day"], (*names, OTHERS)[row["rank"]], sums_of(row)) for row in rows]
    return StackedUsage(
        span=span,
        totals=add_up(sums for _, _, sums in cells),
        stacks=stack_up(cells, names=names, span=span, zone=ZoneInfo(zone)),
    )


def top_groups(hours: QuerySet[UsageHour], column: str) -> list[Any]:
    """Return the groups with the most tokens, one more than is displayed, to detect others."""
    tokens = Sum("prompt_tokens") + Sum("completion_tokens")
    grouped = hours.values(column).annotate(tokens=tokens).order_by("-tokens", column)
    return list(grouped.values_list(column, flat=True)[: MAX_NAMES + 1])


def label_groups(group_by: GroupBy, values: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the label of each group. A deleted key has an id but no name."""
    if group_by == "key":
        return label_keys(list(values))
    if group_by == "tenant":
        return label_tenants(list(values))
    if group_by == "hour":
        return [{"hour": value.astimezone(UTC)} for value in values]
    return [{group_by: value or None} for value in values]


def label_keys(numbers: list[int]) -> list[dict[str, Any]]:
    names = dict(ApiKey.objects.filter(pk__in=numbers).values_list("pk", "name"))
    return [{"key_id": number or None, "key": names.get(number)} for number in numbers]


def label_tenants(numbers: list[int]) -> list[dict[str, Any]]:
    names = {tenant.pk: str(tenant) for tenant in Tenant.objects.filter(pk__in=numbers)}
    return [{"tenant": names.get(number, f"deleted (#{number})")} for number in numbers]
