"""A filter by the values that a column of the ledger had lately."""

from typing import Any

from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

from tenants.models import UsageEvent

LATELY = 5_000
"""Events that are looked at: a filter must not read a ledger of millions to offer a choice."""


class RecentValuesFilter(DropdownFilter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        column = self.parameter_name
        lately = UsageEvent.objects.order_by("-started_at")[:LATELY].values_list(column, flat=True)
        return [(value, value) for value in sorted(set(lately)) if value]

    def has_output(self) -> bool:
        # Also when nothing was used lately: an address with this filter must stay valid.
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value else queryset


class RouteFilter(RecentValuesFilter):
    title = "route"
    parameter_name = "route"


class DoorFilter(RecentValuesFilter):
    title = "door"
    parameter_name = "door"
