"""Rate limits and quotas of one tenant: overrides of its plan, and additions to it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from kernel.console import ConsoleAdmin
from kernel.display import BADGES
from tenants.admin.limit_forms import (
    QUOTA_FIELDS,
    RATE_FIELDS,
    QuotaRuleForm,
    RuleForm,
    without_hidden_owner,
)
from tenants.limit_words import describe_quota, describe_rate
from tenants.models import Quota, RateLimit
from tenants.models.limits import OwnLimit

WHOSE = ("tenant", ("api_key", "member"))
ANCHORED = "period == 'days' || period == 'months'"


class RateLimitForm(RuleForm):
    def clean(self) -> Any:
        return without_hidden_owner(super().clean() or {})


class QuotaForm(QuotaRuleForm):
    def clean(self) -> Any:
        return without_hidden_owner(super().clean())


class OwnLimitAdmin(ConsoleAdmin):
    """What both kinds share. The tenant of a limit stays; for another one, make another limit."""

    list_select_related = ("tenant", "api_key", "member__user")
    search_fields = ("tenant__slug", "tenant__name", "route", "api_key__name")
    autocomplete_fields = ("tenant", "api_key", "member")
    conditional_fields = {"api_key": "per == 'key'", "member": "per == 'member'"}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant",) if obj else ()

    @display(description="Only for", empty_value="-")
    def owner(self, row: OwnLimit) -> Any:
        return row.api_key or row.member

    @display(description="Mode", label=BADGES, ordering="shadow")
    def mode(self, row: Any) -> str:
        if row.shadow:
            return "shadow"
        return "hard" if getattr(row, "hard", True) else "soft"


@admin.register(RateLimit)
class RateLimitAdmin(OwnLimitAdmin):
    form = RateLimitForm
    list_display = ("tenant", "limit_words", "owner", "mode")
    list_filter = (("tenant", AutocompleteSelectFilter), "per", "door", "shadow")
    fieldsets = ((None, {"fields": (*WHOSE, *RATE_FIELDS)}),)
    when_empty = "Limit how fast one tenant may ask. What many tenants share belongs in a plan."

    @display(description="Limit")
    def limit_words(self, row: RateLimit) -> str:
        return describe_rate(row)


@admin.register(Quota)
class QuotaAdmin(OwnLimitAdmin):
    form = QuotaForm
    list_display = ("tenant", "limit_words", "owner", "mode", "alerts")
    list_filter = (
        *(("tenant", AutocompleteSelectFilter), "per", "unit", "period"),
        *("door", "hard", "shadow"),
    )
    fieldsets = ((None, {"fields": (*WHOSE, *QUOTA_FIELDS)}),)
    conditional_fields = {
        **OwnLimitAdmin.conditional_fields,
        "every": ANCHORED,
        "anchor": ANCHORED,
        "outage_cap": "when_redis_is_away == 'open_capped'",
        "hold": "unit != 'requests'",
    }
    when_empty = "Cap what one tenant may use. What many tenants share belongs in a plan."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Quota]:
        rows: QuerySet[Quota] = super().get_queryset(request)
        return rows

    @display(description="Limit", ordering="limit")
    def limit_words(self, row: Quota) -> str:
        return describe_quota(row)

    @display(description="Alerts at", empty_value="-")
    def alerts(self, row: Quota) -> str | None:
        return ", ".join(f"{percent} %" for percent in row.alert_at) or None
