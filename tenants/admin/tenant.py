"""Tenants: created, changed, suspended and resumed, never deleted."""

from dataclasses import replace
from typing import Any

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from kernel.admin.base import Question
from kernel.admin.formatting import BADGES, separated
from tenants import services
from tenants.admin.limits.page import LimitsPage
from tenants.limits import services as limit_services
from tenants.models import ApiKey, Membership, Tenant

SUSPEND = Question(
    title="Suspend this tenant?",
    explains="All its requests are refused within a second, until you resume it. "
    "Keys, agents and usage do not change.",
    verb="Suspend",
    dangerous=True,
    applies=lambda tenant: tenant.status != Tenant.Status.SUSPENDED,
    otherwise="This tenant is suspended already.",
)
RESUME = Question(
    title="Resume this tenant?",
    explains="Requests with its keys are accepted again within a second.",
    verb="Resume",
    applies=lambda tenant: tenant.status == Tenant.Status.SUSPENDED,
    otherwise="This tenant is active already.",
)
SUSPEND_SELECTED = replace(
    SUSPEND,
    title="Suspend these tenants?",
    explains="All their requests are refused within a second, until you resume them. "
    "Keys, agents and usage do not change.",
)
RESUME_SELECTED = replace(
    RESUME,
    title="Resume these tenants?",
    explains="Requests with their keys are accepted again within a second.",
)


PAGES = {
    "API keys": "tenants_apikey",
    "members": "tenants_membership",
    "usage": "tenants_usageevent",
}
FILTER = "tenant__id__exact"


def rows_of_tenant(model: type[ApiKey | Membership]) -> Coalesce:
    """Return the number of rows of `model` for each tenant of the outer query."""
    counted = (
        model.objects.filter(tenant=OuterRef("pk"))
        .order_by()
        .values("tenant")
        .annotate(rows=Count("pk"))
        .values("rows")
    )
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)


@admin.register(Tenant)
class TenantAdmin(LimitsPage):
    list_display = ("name", "slug", "state", "plan", "keys", "members", "time_zone", "created_at")
    list_filter = ("status", "plan")
    list_select_related = ("plan",)
    autocomplete_fields = ("plan",)
    search_fields = ("slug", "name")
    fields = ("name", "slug", "plan", "time_zone", "retention_days", "state", "created_at", "see")
    actions = ("suspend_selected", "resume_selected")
    actions_detail = ("limits", "suspend", "resume")
    questions = {"suspend": SUSPEND, "resume": RESUME}
    when_empty = "Create your first tenant: a customer with its own keys, agents and usage."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        rows: QuerySet[Tenant] = super().get_queryset(request)
        return rows.annotate(key_count=rows_of_tenant(ApiKey), people=rows_of_tenant(Membership))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return self.fields if obj else ("name", "slug", "plan", "time_zone", "retention_days")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The short name is used in URLs, dashboards and exports, so it cannot change.
        return ("slug", "state", "created_at", "see") if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> dict[str, Any]:
        return {} if obj else {"slug": ("name",)}

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="Status", label=BADGES, ordering="status")
    def state(self, tenant: Tenant) -> str:
        return tenant.status

    @display(description="API keys", ordering="key_count")
    def keys(self, tenant: Any) -> str:
        return separated(tenant.key_count)

    @display(description="Members", ordering="people")
    def members(self, tenant: Any) -> str:
        return separated(tenant.people)

    @display(description="Related")
    def see(self, tenant: Tenant) -> SafeString:
        return format_html_join(
            " · ",
            '<a class="text-link" href="{}?{}={}">{}</a>',
            [
                (reverse(f"{self.admin_site.name}:{page}_changelist"), FILTER, tenant.pk, name)
                for name, page in PAGES.items()
            ],
        )

    def create_row(self, *, row: Any, form: Any) -> Tenant:
        tenant = services.create_tenant(
            slug=row.slug,
            name=row.name,
            time_zone=row.time_zone,
            retention_days=row.retention_days,
        )
        if row.plan:
            limit_services.set_plan(tenant=tenant, plan=row.plan, now=timezone.now())
        return tenant

    def update_row(self, *, row: Any, form: Any) -> None:
        services.save_tenant(tenant=row)
        if "plan" in form.changed_data:
            limit_services.set_plan(tenant=row, plan=row.plan, now=timezone.now())

    @action(description="Suspend the selected tenants")
    def suspend_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> Any:
        def act(tenant: Tenant) -> bool:
            return services.suspend_tenant(tenant_id=tenant.pk)

        return self.confirm_selected(
            request, queryset, question=SUSPEND_SELECTED, act=act, done="Suspended"
        )

    @action(description="Resume the selected tenants")
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> Any:
        def act(tenant: Tenant) -> bool:
            return services.resume_tenant(tenant_id=tenant.pk)

        return self.confirm_selected(
            request, queryset, question=RESUME_SELECTED, act=act, done="Resumed"
        )

    @action(description="Suspend", icon="block")
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(tenant: Tenant) -> HttpResponse:
            services.suspend_tenant(tenant_id=tenant.pk)
            return self.redirect_with_message(request, tenant, f"{tenant} is suspended.")

        return self.confirm(request, object_id, question=SUSPEND, act=act)

    @action(description="Resume", icon="play_arrow")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(tenant: Tenant) -> HttpResponse:
            services.resume_tenant(tenant_id=tenant.pk)
            return self.redirect_with_message(request, tenant, f"{tenant} is active.")

        return self.confirm(request, object_id, question=RESUME, act=act)
