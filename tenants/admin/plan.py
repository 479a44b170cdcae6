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
        # Where the theme looks for the title of a stored rule.
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
    # Said here too: rows that are counted per plan have no order of the model's.
    ordering = ("name",)
    fields = ("name", "description", "longest_answer")
    # Labels above the fields: there are three in a row.
    compressed_fields = False
    inlines = (RateLimitsInline, QuotasInline)
    # Tenants are never deleted, and a plan that one is on neither: the page then names them.
    goes_along = frozenset({"tenant"})
    when_in_use = "Give these tenants another plan, or none, on their pages; then delete this one."
    when_empty = "Make a plan: limits that many tenants share. Then choose it on their pages."

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
            '<a class="text-primary-600 dark:text-primary-500" href="{}?plan__id__exact={}">{}</a>',
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

    def store(self, *, row: Any, form: Any) -> Plan:
        limit_services.save_plan(plan=row)
        return row  # type: ignore[no-any-return]

    def restore(self, *, row: Any, form: Any) -> None:
        limit_services.save_plan(plan=row)

    def remove(self, *, row: Any) -> None:
        limit_services.delete_plan(plan=row)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: Any) -> None:
        """Each rule through its service; first those that go, to make room for others."""
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
