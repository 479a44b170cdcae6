"""Rate limits and quotas of one tenant, which override or extend those of its plan."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from kernel.admin.base import ConsoleAdmin
from kernel.admin.formatting import BADGES
from tenants.admin.limits.forms import (
    QUOTA_FIELDS,
    RATE_FIELDS,
    OwnRuleForm,
    QuotaRuleForm,
)
from tenants.admin.limits.links import FROM, limits_address
from tenants.limits import services as limit_services
from tenants.limits.formatting import describe_quota, describe_rate
from tenants.limits.quota_warnings import warnings_of
from tenants.models import Quota, RateLimit
from tenants.models.limits import OwnLimit

OWNER_FIELDS = ("tenant", ("api_key", "member"))
ANCHORED = "period == 'days' || period == 'months'"


class QuotaForm(OwnRuleForm, QuotaRuleForm):
    """A quota of one tenant."""


class OwnLimitAdmin(ConsoleAdmin):
    """Common base of both kinds of limits. The tenant of a limit cannot change."""

    # Labels above the fields, because a row has three of them.
    compressed_fields = False
    list_select_related = ("tenant", "api_key", "member__user")
    search_fields = ("tenant__slug", "tenant__name", "route", "api_key__name")
    autocomplete_fields = ("tenant", "api_key", "member")
    conditional_fields = {"api_key": "per == 'key'", "member": "per == 'member'"}

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant",) if obj else ()

    def delete_row(self, *, row: Any) -> None:
        limit_services.delete_limit(rule=row, now=timezone.now())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return self.back_to_limits(request, obj) or super().response_add(
            request, obj, post_url_continue
        )

    def response_change(self, request: HttpRequest, obj: Any) -> Any:
        return self.back_to_limits(request, obj) or super().response_change(request, obj)

    def back_to_limits(self, request: HttpRequest, row: OwnLimit) -> HttpResponse | None:
        """Return a redirect to the tenant's limits if the form was opened from there."""
        if request.GET.get(FROM) != "limits" or "_save" not in request.POST:
            return None
        self.message_user(request, "Stored. It is in force within a second.", messages.SUCCESS)
        return HttpResponseRedirect(limits_address(row.tenant_id))

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
    form = OwnRuleForm
    list_display = ("tenant", "limit_words", "owner", "mode")
    list_filter = (("tenant", AutocompleteSelectFilter), "per", "request_kind", "shadow")
    fieldsets = ((None, {"fields": (*OWNER_FIELDS, *RATE_FIELDS)}),)
    when_empty = "Limit the request rate of one tenant. Limits of many tenants belong in a plan."

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        limit_services.save_rate_limit(rule=obj)

    @display(description="Limit")
    def limit_words(self, row: RateLimit) -> str:
        return describe_rate(row)


@admin.register(Quota)
class QuotaAdmin(OwnLimitAdmin):
    form = QuotaForm
    list_display = ("tenant", "limit_words", "owner", "mode", "alerts")
    list_filter = (
        *(("tenant", AutocompleteSelectFilter), "per", "unit", "period"),
        *("request_kind", "hard", "shadow"),
    )
    fieldsets = ((None, {"fields": (*OWNER_FIELDS, *QUOTA_FIELDS)}),)
    conditional_fields = {
        **OwnLimitAdmin.conditional_fields,
        "every": ANCHORED,
        "anchor": ANCHORED,
        "outage_cap": "on_redis_outage == 'open_capped'",
        "hold": "unit != 'requests'",
    }
    when_empty = "Limit the usage of one tenant. Limits of many tenants belong in a plan."

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        now = timezone.now()
        limit_services.save_quota(rule=obj, now=now)
        for warning in warnings_of(obj, now=now):
            self.message_user(request, warning, messages.WARNING)

    @display(description="Limit", ordering="limit")
    def limit_words(self, row: Quota) -> str:
        return describe_quota(row)

    @display(description="Alerts at", empty_value="-")
    def alerts(self, row: Quota) -> str | None:
        return ", ".join(f"{percent} %" for percent in row.alert_at) or None
