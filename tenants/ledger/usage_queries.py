"""Sums of usage, for doors and for pages that people look at. They ask inside a tenant scope.

They read the roll-ups by hour; only filters that hours do not know look at the ledger itself.
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
    Span,
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
"""Events of the ledger that one page adds up; more would make it wait."""

MAX_ROLLUPS_SUMMED = 10_000
"""Rows of hours that a page with a list adds up; the page of usage adds up all."""

SUMS = {name: Sum(name, default=0) for name in UsageSums.__struct_fields__}

NAMES = ", ".join(SUMS)
# The hours are read once, for the largest groups and for the sums of all.
RANKED = f"""
    WITH grouped ("group", {NAMES}) AS MATERIALIZED ({{grouped}})
    SELECT largest.*, whole.* FROM (
        SELECT * FROM grouped ORDER BY prompt_tokens + completion_tokens DESC, "group" LIMIT %s
    ) AS largest, (
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
    """Sums over usage events. Corrections change the tokens and are no requests."""

    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    since: datetime | None = None
    """The hour from which on everything is summed; None: all of it, or the newest events."""
    is_partial: bool = False
    """These are the newest SUMMED_AT_MOST events."""


def total_hours(hours: QuerySet[UsageHour]) -> UsageTotals:
    """The sums of `hours`; of more than MAX_ROLLUPS_SUMMED rows those of the newest whole hours."""
    newest = hours.order_by("-hour").values_list("hour", flat=True)
    since = newest[MAX_ROLLUPS_SUMMED : MAX_ROLLUPS_SUMMED + 1].first()
    summed = hours.filter(hour__gte=since) if since else hours
    names = ("requests", "failed", "prompt_tokens", "completion_tokens")
    sums = summed.order_by().aggregate(**{name: SUMS[name] for name in names})
    return UsageTotals(**sums, since=since)


def total_events(events: QuerySet[UsageEvent]) -> UsageTotals:
    """The sums of `events`, or of their newest SUMMED_AT_MOST if they are more."""
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
    """What all tenants together used since a moment."""

    requests: int
    failed: int
    tenants: int
    prompt_tokens: int
    completion_tokens: int


def summarise_usage(*, since: datetime) -> UsageSummary:
    """The sums of the tenants in scope, from the full hour `since` on."""
    names = ("requests", "failed", "prompt_tokens", "completion_tokens")
    return UsageSummary(
        **UsageHour.objects.filter(hour__gte=since).aggregate(
            tenants=Count("tenant_id", distinct=True), **{name: SUMS[name] for name in names}
        )
    )


def requests_by_hour(*, since: datetime) -> dict[datetime, int]:
    """Requests of the tenants in scope by the hour (UTC) in which they began."""
    hours = UsageHour.objects.filter(hour__gte=since).order_by().values("hour")
    return dict(hours.annotate(sum=SUMS["requests"]).values_list("hour", "sum"))


def load_usage(question: UsageQuestion, *, now: datetime) -> UsageReport:
    """The answer for one tenant. Raises InvalidParameter for a span that cannot be meant."""
    with tenant_scope(question.tenant_id):
        tenant = Tenant.objects.filter(pk=question.tenant_id).first()
        if tenant is None:
            raise NotFound
        return report_usage(question, zone=tenant.time_zone, now=now)


def report_usage(question: UsageQuestion, *, zone: str, now: datetime) -> UsageReport:
    """The answer for the tenants in scope, with the days of `zone`. Raises InvalidParameter."""
    span = span_of(question, zone=ZoneInfo(zone), now=now)
    hours = hours_in(span)
    if question.group_by in {"day", "hour"}:
        rows, others = sum_times(hours, question.group_by, zone=ZoneInfo(zone)), None
    else:
        rows, others = sum_largest(hours, COLUMNS[question.group_by], limit=question.limit)
    labels = label_groups(question.group_by, [row["group"] for row in rows])
    groups = tuple(
        UsageGroup(label=label, sums=sums_of(row)) for label, row in zip(labels, rows, strict=True)
    )
    return UsageReport(
        span=span, zone=zone, group_by=question.group_by, groups=groups, others=others
    )


def hours_in(span: Span) -> QuerySet[UsageHour]:
    """The hours of the tenants in scope, in no order."""
    return UsageHour.objects.filter(hour__gte=span.since, hour__lt=span.until).order_by()


def sum_times(
    hours: QuerySet[UsageHour], group_by: GroupBy, *, zone: ZoneInfo
) -> list[dict[str, Any]]:
    """The sums of each day or hour, in their order."""
    group = day_of_hour(zone) if group_by == "day" else F("hour")
    rows: list[Any] = list(hours.annotate(group=group).values("group").annotate(**SUMS))
    return sorted(rows, key=itemgetter("group"))


def sum_largest(
    hours: QuerySet[UsageHour], column: str, *, limit: int
) -> tuple[list[dict[str, Any]], UsageSums | None]:
    """The sums of the `limit` groups with the most tokens, most first, and of all others together.

    PostgreSQL ranks them: of a hundred thousand keys only those that are named are read.
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
    """PostgreSQL's sums of whole numbers, in the order of SUMS."""
    return dict(zip(SUMS, map(int, sums), strict=True))


def sums_of(row: dict[str, Any]) -> UsageSums:
    return UsageSums(**{name: row[name] for name in SUMS})


def day_of_hour(zone: ZoneInfo) -> TruncDate:
    """The day that an hour belongs to, as `usage_report.day_of` says it."""
    last = ExpressionWrapper(F("hour") + ALMOST_AN_HOUR, output_field=DateTimeField())
    return TruncDate(last, tzinfo=zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedUsage:
    """Usage as a page draws it: its hours, their sums, and what the largest users had each day."""

    span: Span
    totals: UsageSums
    stacks: UsageStacks


def stack_usage(question: UsageQuestion, *, zone: str, now: datetime) -> StackedUsage:
    """The usage of the tenants in scope by day, or hour by hour of one day. Raises
    InvalidParameter.

    PostgreSQL ranks the groups: of a hundred thousand keys only those that are drawn are read.
    """
    span = span_of(question, zone=ZoneInfo(zone), now=now)
    hours = hours_in(span)
    column = COLUMNS[question.group_by]
    largest = largest_groups(hours, column)
    names = [name_of(label) for label in label_groups(question.group_by, largest)]
    ranks = (When(**{column: value}, then=number) for number, value in enumerate(largest))
    ranked = hours.annotate(
        day=F("hour") if is_by_hour(span) else day_of_hour(ZoneInfo(zone)),
        rank=Case(*ranks, default=len(largest), output_field=IntegerField()),
    )
    rows: list[Any] = list(ranked.values("day", "rank").annotate(**SUMS))
    cells = [(row["day"], (*names, OTHERS)[row["rank"]], sums_of(row)) for row in rows]
    return StackedUsage(
        span=span,
        totals=add_up(sums for _, _, sums in cells),
        stacks=stack_up(cells, names=names, span=span, zone=ZoneInfo(zone)),
    )


def largest_groups(hours: QuerySet[UsageHour], column: str) -> list[Any]:
    """Those with the most tokens, most first; one more than is drawn, to know whether there is."""
    tokens = Sum("prompt_tokens") + Sum("completion_tokens")
    grouped = hours.values(column).annotate(tokens=tokens).order_by("-tokens", column)
    return list(grouped.values_list(column, flat=True)[: MAX_NAMES + 1])


def label_groups(group_by: GroupBy, values: Iterable[Any]) -> list[dict[str, Any]]:
    """What names each group in an answer. A deleted key has a number and no name."""
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
