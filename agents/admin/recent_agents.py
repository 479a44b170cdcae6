"""Filters by the values of a column in a table's newest rows, such as their agents."""

from typing import Any

from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

MAX_ROWS = 5_000
"""The number of newest rows that are read: a filter must not scan a large table for its choices."""


class RecentValueFilter(DropdownFilter):
    """A filter by a column, which is `parameter_name`."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        name: Any = self.parameter_name
        rows = model_admin.get_queryset(request).order_by("-pk")[:MAX_ROWS]
        return [(text, text) for text in sorted(set(rows.values_list(name, flat=True))) if text]

    def has_output(self) -> bool:
        # Even without choices: a URL with this filter must stay valid.
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(**{str(self.parameter_name): value}) if value else queryset


class AgentFilter(RecentValueFilter):
    title = "agent"
    parameter_name = "agent"
