"""What became of quotas: their windows, what was granted on top, and who was told. Read here."""

from typing import Any

from django.contrib import admin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from kernel.console import ReadOnlyAdmin
from kernel.display import BADGES, separated
from tenants.limit_words import counter_words, slot_words, window_words
from tenants.models import QuotaAlert, QuotaTopUp, QuotaWindow


class HistoryAdmin(ReadOnlyAdmin):
    """Rows about counters of tenants, newest first."""

    list_select_related: Any = ("tenant",)
    search_fields: Any = ("tenant__slug", "tenant__name")
    # Counting millions of rows to number pages is a price that nobody wants to pay.
    paginator = InfinitePaginator

    @display(description="Counts")
    def counts(self, row: Any) -> str:
        return counter_words(row.counter)

    @display(description="Window (UTC)")
    def in_window(self, row: Any) -> str:
        return window_words(row.window)


@admin.register(QuotaWindow)
class QuotaWindowAdmin(HistoryAdmin):
    list_display = ("tenant", "quota", "starts_at", "ends_at", "used_words", "share", "state")
    list_filter = (("tenant", AutocompleteSelectFilter), ("closed_at", admin.EmptyFieldListFilter))
    when_empty = "The windows of quotas appear here: those that are open, and what was used."

    @display(description="Quota", ordering="slot")
    def quota(self, row: QuotaWindow) -> str:
        return slot_words(row.slot)

    @display(description="Used at the close", ordering="used")
    def used_words(self, row: QuotaWindow) -> str:
        return "-" if row.closed_at is None else separated(row.used)

    @display(description="Of its limit")
    def share(self, row: QuotaWindow) -> str:
        if row.closed_at is None or not row.limit:
            return f"- of {separated(row.limit)}"
        return f"{100 * row.used / row.limit:.0f} % of {separated(row.limit)}"

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
        return separated(row.amount)

    @display(description="Granted by", empty_value="-")
    def by(self, row: QuotaTopUp) -> Any:
        return row.granted_by


@admin.register(QuotaAlert)
class QuotaAlertAdmin(HistoryAdmin):
    list_display = ("created_at", "tenant", "counts", "percent", "used_words", "in_window")
    list_filter = (("tenant", AutocompleteSelectFilter),)
    when_empty = "Nobody had to be told yet that a quota was nearly used up."

    @display(description="Reached", ordering="threshold")
    def percent(self, row: QuotaAlert) -> str:
        return f"{row.threshold} %"

    @display(description="Used", ordering="used")
    def used_words(self, row: QuotaAlert) -> str:
        return f"{separated(row.used)} of {separated(row.limit)}"
