"""Plans: bundles of limits, with their rate limits and quotas on one page."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import StackedInline
from unfold.decorators import display

from kernel.admin.base import ConsoleAdmin
from kernel.admin.formatting import separated
from tenants.admin.limits.forms import (
    QUOTA_FIELDS,
    RATE_FIELDS,
    OnceFormSet,
    QuotaRuleForm,
    RuleForm,
)
from tenants.limits import services as limit_services
from tenants.limits.formatting import describe_quota, describe_rate, joined
from tenants.models import Plan, PlanQuota, PlanRateLimit


class TitledRateForm(RuleForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The theme reads the title of an inline row from this attribute.
        self.instance.get_inline_title = describe_rate(self.instance)


class TitledQuotaForm(QuotaRuleForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.instance.get_inline_title = describe_quota(self.instance)


class RateLimitsInline(StackedInline):
    model = PlanRateLimit
    form = TitledRateForm
    formset = OnceFormSet
    fieldsets = ((None, {"fields": RATE_FIELDS}),)
    extra = 0
    verbose_name = "rate limit"
    verbose_name_plural = "rate limits"


class QuotasInline(StackedInline):
    model = PlanQuota
    form = TitledQuotaForm
    formset = OnceFormSet
    fieldsets = ((None, {"fields": QUOTA_FIELDS}),)
    extra = 0
    verbose_name = "quota"
    verbose_name_plural = "quotas"


@admin.register(Plan)
class PlanAdmin(ConsoleAdmin):
    list_display = ("name", "tenants", "summary", "created_at")
    search_fields = ("name", "description")
    # Needed here, because an annotated query ignores the ordering of the model.
    ordering = ("name",)
    fields = ("name", "description", "default_max_completion_tokens")
    # Labels above the fields, because a row has three of them.
    compressed_fields = False
    inlines = (RateLimitsInline, QuotasInline)
    # A plan of a tenant cannot be deleted; the page then lists the tenants.
    deleted_together = frozenset({"tenant"})
    when_in_use = "Assign another plan, or none, to these tenants; then delete this one."
    when_empty = "Create a plan: limits that many tenants share. Then assign it to tenants."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Plan]:
        rows: QuerySet[Plan] = super().get_queryset(request)
        return rows.annotate(tenant_count=Count("tenants")).prefetch_related(
            "rate_limits", "quotas"
        )

    @display(description="Tenants", ordering="tenant_count")
    def tenants(self, plan: Any) -> str | SafeString:
        if not plan.tenant_count:
            return "none"
        place = reverse(f"{self.admin_site.name}:tenants_tenant_changelist")
        return format_html(
            '<a class="text-link" href="{}?plan__id__exact={}">{}</a>',
            place,
            plan.pk,
            separated(plan.tenant_count),
        )

    @display(description="Limits")
    def summary(self, plan: Any) -> str:
        return joined(
            (
                *(describe_rate(rule) for rule in plan.rate_limits.all()),
                *(describe_quota(rule) for rule in plan.quotas.all()),
            )
        )

    def create_row(self, *, row: Any, form: Any) -> Plan:
        limit_services.save_plan(plan=row)
        return row  # type: ignore[no-any-return]

    def update_row(self, *, row: Any, form: Any) -> None:
        limit_services.save_plan(plan=row)

    def delete_row(self, *, row: Any) -> None:
        limit_services.delete_plan(plan=row)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: Any) -> None:
        """Save each rule through its service; delete first, because new rules may replace those."""
        now = timezone.now()
        rules = formset.save(commit=False)
        for rule in formset.deleted_objects:
            limit_services.delete_plan_limit(rule=rule, now=now)
        for rule in rules:
            save_rule(rule, now=now)


def save_rule(rule: PlanRateLimit | PlanQuota, *, now: datetime) -> None:
    if isinstance(rule, PlanQuota):
        limit_services.save_plan_quota(rule=rule, now=now)
    else:
        limit_services.save_plan_rate_limit(rule=rule)
