"""A filter by the existing values of a column of the ledger."""

from typing import Any

from django.db import connection
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter

MAX_CHOICES = 200

# A loose index scan, from one value to the next, because the ledger is too large to read.
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
    """A filter by a column that is the first of an index. It lists the values of all tenants."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(VALUES.format(column=self.parameter_name), [MAX_CHOICES])
            return [(value, value) for (value,) in cursor]

    def has_output(self) -> bool:
        # True even without values, because a URL with this filter must stay valid.
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
