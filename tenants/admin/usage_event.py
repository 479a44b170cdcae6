"""The ledger: rows, filters and sums. Read-only."""

import json
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from kernel.admin.base import ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator
from kernel.admin.formatting import BADGES, currency_words, separated
from tenants.admin.ledger_values import DoorFilter, RouteFilter
from tenants.admin.usage_filters import DaysFilter, hours_for
from tenants.ledger.usage_queries import MAX_SUMMED_EVENTS, total_events, total_hours
from tenants.models import UsageEvent


def explain_address(event: UsageEvent) -> str:
    """Return the URL of the page that explains the routing of a request."""
    return f"{reverse('admin:explain')}?{urlencode({'id': event.request_id})}"


def usage_address(tenant_id: str) -> str:
    """Return the URL of the usage page of a tenant, or of all tenants."""
    place = reverse("admin:tenants_usagehour_changelist")
    return f"{place}?{urlencode({'tenant': tenant_id})}" if tenant_id else place


def as_code(value: Any) -> SafeString:
    """Format a value as indented JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return format_html('<pre class="console-code console-result">{}</pre>', text)


@admin.register(UsageEvent)
class UsageEventAdmin(ReadOnlyAdmin):
    list_display = (
        *("started_at", "tenant", "key_name", "route", "door", "state"),
        *("prompt", "completion", "ttft", "duration", "why"),
    )
    list_filter = (
        *(("tenant", AutocompleteSelectFilter), ("api_key", AutocompleteSelectFilter)),
        *(RouteFilter, DoorFilter, "status", "kind", ("started_at", DaysFilter)),
    )
    list_select_related = ("tenant", "api_key")
    search_fields = ("request_id__exact", "client_request_id__exact")
    search_help_text = "A complete request id, of the platform or of the client."
    # The number of pages would require counting millions of rows.
    paginator = UncountedPaginator
    list_before_template = "tenants/usage_totals.html"
    list_fullwidth = True
    # Sorting by a column without an index would read millions of rows.
    sortable_by = ("started_at",)
    fields = (
        *("request_id", "client_request_id", "kind", "state", "error_code"),
        *("tenant", "api_key", "member", "door", "agent", "agent_revision"),
        *("route", "pool", "endpoint", "prompt", "completion", "cached_tokens", "counted", "cost"),
        *("ttft", "duration", "started_at", "ended_at", "routed", "charged"),
    )
    actions_detail = ("explain",)
    when_empty = "No requests yet. Send one with an API key, and it appears here."

    @display(description="API key", empty_value="-")
    def key_name(self, event: UsageEvent) -> str | None:
        return event.api_key.name if event.api_key else None

    @display(description="Status", label=BADGES, ordering="status")
    def state(self, event: UsageEvent) -> str:
        return str(event.get_status_display()).lower()

    @display(description="Prompt", ordering="prompt_tokens")
    def prompt(self, event: UsageEvent) -> str:
        return separated(event.prompt_tokens)

    @display(description="Completion", ordering="completion_tokens")
    def completion(self, event: UsageEvent) -> str:
        return separated(event.completion_tokens)

    @display(description="TTFT", ordering="ttft_ms")
    def ttft(self, event: UsageEvent) -> str:
        return "-" if event.ttft_ms is None else f"{event.ttft_ms:,.0f} ms"

    @display(description="Duration", ordering="duration_ms")
    def duration(self, event: UsageEvent) -> str:
        return f"{event.duration_ms:,.0f} ms"

    @display(description="Cost")
    def cost(self, event: UsageEvent) -> str:
        return currency_words(event.cost_micro)

    @display(description="Tokens")
    def counted(self, event: UsageEvent) -> str:
        if event.estimated:
            return "estimated, because the engine reported no usage"
        return "reported by the engine"

    @display(description="Routing decision")
    def routed(self, event: UsageEvent) -> SafeString:
        return as_code(event.decision)

    @display(description="Counted in quotas")
    def charged(self, event: UsageEvent) -> SafeString:
        return as_code(event.charges)

    @display(description="Why")
    def why(self, event: UsageEvent) -> SafeString:
        return format_html(
            '<a class="text-link" href="{}">Explain</a>',
            explain_address(event),
        )

    @action(description="Explain", icon="manage_search")
    def explain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(explain_address(self.find(request, object_id)))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        response = super().changelist_view(request, extra_context)
        changes = getattr(response, "context_data", None) or {}
        if "cl" in changes:
            hours = hours_for(request.GET.dict())
            events = changes["cl"].queryset
            changes["totals"] = total_events(events) if hours is None else total_hours(hours)
            changes["summed_at_most"] = separated(MAX_SUMMED_EVENTS)
            changes["usage_address"] = usage_address(request.GET.get("tenant__id__exact", ""))
        return response
