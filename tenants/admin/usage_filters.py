"""Filters of the ledger's page, and the same filters for the hourly sums of the ledger."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_date
from unfold.contrib.filters.admin import RangeDateFilter

from tenants.models import UsageHour

HOUR_LOOKUPS = {"tenant__id__exact": "tenant_id"}
"""Filters for which hourly sums have an index. With others, the newest events are summed."""
NO_FILTERS = {"p", "o", "started_at_from", "started_at_to"}
"""Parameters of the page that select no hours, or that `days_between` reads."""


class DaysFilter(RangeDateFilter):
    """A filter by days in UTC, both inclusive."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(**days_between(self.used_parameters, column="started_at"))


def days_between(parameters: Mapping[str, Any], *, column: str) -> dict[str, datetime]:
    """Return lookups of `column` for the days in a query string; invalid dates are ignored."""
    first, last = (as_day(parameters.get(f"started_at_{end}")) for end in ("from", "to"))
    lookups = {}
    if first:
        lookups[f"{column}__gte"] = datetime.combine(first, time(), UTC)
    if last and last < date.max:
        lookups[f"{column}__lt"] = datetime.combine(last + timedelta(days=1), time(), UTC)
    return lookups


def as_day(text: Any) -> date | None:
    try:
        return parse_date(str(text or ""))
    except ValueError:
        return None


def hours_for(parameters: Mapping[str, str]) -> QuerySet[UsageHour] | None:
    """Return the hourly sums of the page's filter; None for a filter that they do not have."""
    given = {name: value for name, value in parameters.items() if value}
    if given.keys() - HOUR_LOOKUPS.keys() - NO_FILTERS:
        return None
    lookups = {HOUR_LOOKUPS[name]: value for name, value in given.items() if name in HOUR_LOOKUPS}
    return UsageHour.objects.filter(**lookups, **days_between(given, column="hour"))
