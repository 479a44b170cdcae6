"""The console's page of usage: how much, of what, and by whom, day by day, or hour by hour."""

import json
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
from tenants.admin.usage_charts import Measure, draw_chart, has_any, legend
from tenants.ledger.usage_queries import StackedUsage, stack_usage
from tenants.ledger.usage_report import GroupBy, UsageQuestion
from tenants.models import Tenant, UsageHour
from tenants.scoping import every_tenant, tenant_scope

MEASURES: tuple[Measure, ...] = ("tokens", "requests", "cost")
STACKS = (("model", "Model"), ("agent", "Agent"), ("key", "API key"), ("tenant", "Tenant"))


class UsageForm(forms.Form):
    """What the page is narrowed to. Days are the tenant's, or UTC's for all tenants."""

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
    """Roll-ups have no rows that a person would read: their page is charts."""

    when_empty = (
        "Nothing was used in this time. Send a request with an API key, and it appears here."
    )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        form = UsageForm(request.GET)
        asked = form.cleaned_data if form.is_valid() else {}
        tenant: Tenant | None = asked.get("tenant")
        with tenant_scope(tenant.pk) if tenant else every_tenant():
            context = self.describe(form, asked, zone=tenant.time_zone if tenant else "UTC")
        context |= {"opts": self.opts, "form": form, "when_empty": self.when_empty}
        page = {**self.admin_site.each_context(request), **context}
        return TemplateResponse(request, "tenants/usage.html", page)

    def describe(self, form: UsageForm, asked: dict[str, Any], *, zone: str) -> dict[str, Any]:
        stack: GroupBy = asked.get("stack") or "model"
        question = UsageQuestion(
            tenant_id=0,
            begins=asked.get("begins"),
            ends=next_day(asked.get("ends")),
            group_by=stack,
        )
        try:
            usage = stack_usage(question, zone=zone, now=timezone.now())
        except InvalidParameter as error:
            if error.param == "to":
                form.add_error("ends", "Choose a day that is not before the first one.")
            else:
                form.add_error(None, error.message)
            return {"title": "Usage", "zone": zone}
        shown = describe_usage(usage, group_by=dict(STACKS)[stack])
        return {"title": "Usage", "zone": zone, **shown}


def next_day(day: date | None) -> date | None:
    return day + timedelta(days=1) if day and day < date.max else day


def describe_usage(usage: StackedUsage, *, group_by: str) -> dict[str, Any]:
    """Numbers, charts and a table. No charts where nothing was used."""
    totals, stacks = usage.totals, usage.stacks
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
        "charts": [
            {"title": measure.capitalize(), "data": json.dumps(draw_chart(stacks, measure=measure))}
            for measure in MEASURES
            if has_any(stacks, measure=measure)
        ],
        "step": stacks.step,
        "groups": legend(stacks),
        "group_by": group_by,
        "begins": usage.span.since,
        "ends": usage.span.until,
    }
