"""Sums over the ledger, for pages that people look at. They ask inside a tenant scope."""

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncHour

from tenants.models import UsageEvent

SUMMED_AT_MOST = 100_000
"""Events that one page adds up; more would make it wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums over usage events. Corrections change the tokens and are no requests."""

    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    is_partial: bool


def total_usage(events: QuerySet[UsageEvent]) -> UsageTotals:
    """The sums of `events`, or of their newest SUMMED_AT_MOST if they are more."""
    is_request = ~Q(kind=UsageEvent.Kind.CORRECTION)
    newest = events.select_related(None).order_by("-started_at")[:SUMMED_AT_MOST]
    sums = newest.aggregate(
        rows=Count("pk"),
        requests=Count("pk", filter=is_request),
        failed=Count("pk", filter=is_request & Q(status=UsageEvent.Status.FAILED)),
        prompt_tokens=Sum("prompt_tokens", default=0),
        completion_tokens=Sum("completion_tokens", default=0),
    )
    rows = sums.pop("rows")
    return UsageTotals(**sums, is_partial=rows == SUMMED_AT_MOST)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageSummary:
    """What all tenants together used since a moment."""

    requests: int
    failed: int
    tenants: int
    prompt_tokens: int
    completion_tokens: int


def summarise_usage(*, since: datetime) -> UsageSummary:
    """The sums of the tenants in scope."""
    is_request = ~Q(kind=UsageEvent.Kind.CORRECTION)
    return UsageSummary(
        **UsageEvent.objects.filter(started_at__gte=since).aggregate(
            requests=Count("pk", filter=is_request),
            failed=Count("pk", filter=is_request & Q(status=UsageEvent.Status.FAILED)),
            tenants=Count("tenant", distinct=True),
            prompt_tokens=Sum("prompt_tokens", default=0),
            completion_tokens=Sum("completion_tokens", default=0),
        )
    )


def requests_by_hour(*, since: datetime) -> dict[datetime, int]:
    """Requests of the tenants in scope by the hour (UTC) in which they began."""
    events = UsageEvent.objects.filter(started_at__gte=since)
    requests = events.exclude(kind=UsageEvent.Kind.CORRECTION).order_by()
    hours = requests.annotate(hour=TruncHour("started_at", tzinfo=UTC)).values("hour")
    return dict(hours.annotate(rows=Count("pk")).values_list("hour", "rows"))
