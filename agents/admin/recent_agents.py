"""A filter by the agents that a table had lately."""

from typing import Any

from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

LATELY = 5_000
"""Rows that are looked at: a filter must not read millions to offer a choice."""


class AgentFilter(DropdownFilter):
    title = "agent"
    parameter_name = "agent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = model_admin.model.objects.order_by("-pk")[:LATELY]
        return [(slug, slug) for slug in sorted(set(rows.values_list("agent", flat=True))) if slug]

    def has_output(self) -> bool:
        # Also when nothing is there: an address with this filter must stay valid.
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(agent=value) if value else queryset
