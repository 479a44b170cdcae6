"""The history of quotas: windows, top-ups and sent alerts. Read-only."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from kernel.admin.base import ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator
from kernel.admin.formatting import BADGES
from tenants.ledger.open_use import used_in_open
from tenants.limits.formatting import counter_words, number_words, slot_words, window_words
from tenants.models import QuotaAlert, QuotaTopUp, QuotaWindow
from tenants.owner_names import owner_names_in_scope


class HistoryAdmin(ReadOnlyAdmin):
    """Rows about counters of tenants, the newest first."""

    list_select_related: Any = ("tenant",)
    search_fields: Any = ("tenant__slug", "tenant__name")
    # The number of pages would require counting millions of rows.
    paginator = UncountedPaginator

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Return Django's change list, whose rows have the names of their owners."""
        changes = super().get_changelist_instance(request)
        self.complete(changes.result_list)
        return changes

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        row = super().get_object(request, object_id, from_field)
        self.complete([] if row is None else [row])
        return row

    def complete(self, rows: Sequence[Any]) -> None:
        """Set attributes of rows that columns display and that are not in the table."""
        names = owner_names_in_scope({owner_of(row): None for row in rows})
        for row in rows:
            row.names = names

    @display(description="Counts")
    def counts(self, row: Any) -> str:
        return counter_words(row.counter, row.names)

    @display(description="Window (UTC)")
    def in_window(self, row: Any) -> str:
        return window_words(row.window)


@admin.register(QuotaWindow)
class QuotaWindowAdmin(HistoryAdmin):
    list_display = ("tenant", "quota", "starts_at", "ends_at", "used_words", "share", "state")
    list_filter = (("tenant", AutocompleteSelectFilter), ("closed_at", admin.EmptyFieldListFilter))
    when_empty = "Open and closed windows of quotas appear here, with their usage."

    def complete(self, rows: Sequence[Any]) -> None:
        super().complete(rows)
        used = used_in_open(rows)
        for row in rows:
            row.used = used.get(row.pk, row.used)

    @display(description="Quota", ordering="slot")
    def quota(self, row: Any) -> str:
        return slot_words(row.slot, row.names)

    @display(description="Used", ordering="used")
    def used_words(self, row: Any) -> str:
        return number_words(row.used, unit_of_slot(row.slot))

    @display(description="Of its limit")
    def share(self, row: Any) -> str:
        limit = number_words(row.limit, unit_of_slot(row.slot))
        return f"{100 * row.used / row.limit:.0f} % of {limit}" if row.limit else f"of {limit}"

    @display(description="State", label=BADGES, ordering="closed_at")
    def state(self, row: QuotaWindow) -> str:
        return "open" if row.closed_at is None else "closed"


@admin.register(QuotaTopUp)
class QuotaTopUpAdmin(HistoryAdmin):
    list_display = ("created_at", "tenant", "counts", "amount_words", "in_window", "reason", "by")
    list_filter = (("tenant", AutocompleteSelectFilter),)
    list_select_related = ("tenant", "granted_by")
    when_empty = "Grant a top-up on the limits page of a tenant, and it is listed here."

    @display(description="Amount", ordering="amount")
    def amount_words(self, row: QuotaTopUp) -> str:
        return number_words(row.amount, unit_of_counter(row.counter))

    @display(description="Granted by", empty_value="-")
    def by(self, row: QuotaTopUp) -> Any:
        return row.granted_by


@admin.register(QuotaAlert)
class QuotaAlertAdmin(HistoryAdmin):
    list_display = ("created_at", "tenant", "counts", "percent", "used_words", "in_window")
    list_filter = (("tenant", AutocompleteSelectFilter),)
    when_empty = "No alerts yet: no quota has reached a threshold."

    @display(description="Reached", ordering="threshold")
    def percent(self, row: QuotaAlert) -> str:
        return f"{row.threshold} %"

    @display(description="Used", ordering="used")
    def used_words(self, row: QuotaAlert) -> str:
        unit = unit_of_counter(row.counter)
        return f"{number_words(row.used, unit)} of {number_words(row.limit, unit)}"


def owner_of(row: Any) -> str:
    """Return the owner of a row's counter or slot: `key:12`, or `tenant`."""
    name: str = getattr(row, "slot", "") or row.counter
    return name.partition("|")[0]


def unit_of_slot(slot: str) -> str:
    return slot.rsplit("|", 2)[1]


def unit_of_counter(counter: str) -> str:
    return counter.rpartition("|")[2]
