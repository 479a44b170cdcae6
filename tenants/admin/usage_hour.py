"""The console's page with charts of usage by day or hour, and by model, agent, key or tenant."""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminDateWidget, UnfoldAdminSelectWidget

from kernel.admin.base import ReadOnlyAdmin
from kernel.admin.formatting import currency_words, separated
from kernel.errors import InvalidParameter
from tenants.admin.usage_charts import Measure, draw_usage, legend
from tenants.ledger.usage_queries import StackedUsage, stack_usage
from tenants.ledger.usage_report import GroupBy, UsageQuestion
from tenants.models import Tenant, UsageHour
from tenants.scoping import every_tenant, tenant_scope

MEASURES: tuple[Measure, ...] = ("tokens", "requests", "cost")
STACKS = (("model", "Model"), ("agent", "Agent"), ("key", "API key"), ("tenant", "Tenant"))


class UsageForm(forms.Form):
    """Filters of the page. Days are in the tenant's time zone, or in UTC for all tenants."""

    tenant = forms.ModelChoiceField(
        queryset=Tenant.objects.all(),
        required=False,
        empty_label="All tenants",
        widget=UnfoldAdminSelectWidget,
    )
    begins = forms.DateField(required=False, label="From", widget=UnfoldAdminDateWidget)
    ends = forms.DateField(required=False, label="To (included)", widget=UnfoldAdminDateWidget)
    stack = forms.ChoiceField(
        choices=STACKS, required=False, label="By", widget=UnfoldAdminSelectWidget
    )


@admin.register(UsageHour)
class UsageHourAdmin(ReadOnlyAdmin):
    """A page of charts in place of the list of hourly sums."""

    when_empty = "No usage in this time. Send a request with an API key, and it appears here."

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        form = UsageForm(request.GET)
        filters = form.cleaned_data if form.is_valid() else {}
        tenant: Tenant | None = filters.get("tenant")
        with tenant_scope(tenant.pk) if tenant else every_tenant():
            context = self.describe(form, filters, zone=tenant.time_zone if tenant else "UTC")
        context |= {"opts": self.opts, "form": form, "when_empty": self.when_empty}
        page = {**self.admin_site.each_context(request), **context}
        return TemplateResponse(request, "tenants/usage.html", page)

    def describe(self, form: UsageForm, filters: dict[str, Any], *, zone: str) -> dict[str, Any]:
        stack: GroupBy = filters.get("stack") or "model"
        question = UsageQuestion(
            tenant_id=0,
            begins=filters.get("begins"),
            ends=next_day(filters.get("ends")),
            group_by=stack,
        )
        try:
            usage = stack_usage(question, zone=zone, now=timezone.now())
        except InvalidParameter as error:
            if error.param == "to":
                form.add_error("ends", "Choose a day that is not before the start.")
            else:
                form.add_error(None, error.message)
            return {"title": "Usage", "zone": zone}
        described = describe_usage(usage, group_by=dict(STACKS)[stack])
        return {"title": "Usage", "zone": zone, **described}


def next_day(day: date | None) -> date | None:
    return day + timedelta(days=1) if day and day < date.max else day


def describe_usage(usage: StackedUsage, *, group_by: str) -> dict[str, Any]:
    """Return the context of the page: numbers, table, and charts unless there is no usage."""
    totals, stacks = usage.totals, usage.stacks
    group = group_by if group_by.startswith("API") else group_by.lower()
    title = f"{{}} by {stacks.step} and {group}"
    charts = [
        draw_usage(stacks, measure=measure, title=title.format(measure.capitalize()))
        for measure in MEASURES
    ]
    return {
        "cards": [
            {"title": "Requests", "value": separated(totals.requests)},
            {"title": "Failures", "value": separated(totals.failed), "alarming": totals.failed},
            {
                "title": "Tokens",
                "value": separated(totals.tokens),
                "detail": f"{separated(totals.prompt_tokens)} in, of which "
                f"{separated(totals.cached_tokens)} cached; "
                f"{separated(totals.completion_tokens)} out",
            },
            {"title": "Cost", "value": currency_words(totals.cost_micro)},
        ],
        "charts": [chart for chart in charts if chart],
        "groups": legend(stacks),
        "group_by": group_by,
        "begins": usage.span.since,
        "ends": usage.span.until,
    }
