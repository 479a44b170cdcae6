"""A filter by the agents of a table's newest rows."""

from typing import Any

from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

MAX_ROWS = 5_000
"""The number of newest rows that are read: a filter must not scan a large table for its choices."""


class AgentFilter(DropdownFilter):
    title = "agent"
    parameter_name = "agent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = model_admin.model.objects.order_by("-pk")[:MAX_ROWS]
        return [(slug, slug) for slug in sorted(set(rows.values_list("agent", flat=True))) if slug]

    def has_output(self) -> bool:
        # Even without choices: a URL with this filter must stay valid.
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(agent=value) if value else queryset
