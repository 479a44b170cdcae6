"""A filter by the values that a column of the ledger has."""

from typing import Any

from django.db import connection
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

MAX_CHOICES = 200

# From one value to the next along the column's index: a filter must not read a ledger of millions
# to offer a choice.
VALUES = """
    WITH RECURSIVE found AS (
        (SELECT min({column}) AS value FROM tenants_usageevent)
        UNION ALL
        SELECT (SELECT min({column}) FROM tenants_usageevent WHERE {column} > found.value)
        FROM found WHERE found.value IS NOT NULL
    )
    SELECT value FROM found WHERE value <> '' LIMIT %s
"""


class LedgerValuesFilter(DropdownFilter):
    """Of a column that an index of the ledger begins with. Operators see all tenants' values."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(VALUES.format(column=self.parameter_name), [MAX_CHOICES])
            return [(value, value) for (value,) in cursor]

    def has_output(self) -> bool:
        # Also when nothing was used yet: an address with this filter must stay valid.
        return True

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.filter(**{self.parameter_name: value}) if value else queryset


class RouteFilter(LedgerValuesFilter):
    title = "route"
    parameter_name = "route"


class DoorFilter(LedgerValuesFilter):
    title = "door"
    parameter_name = "door"
