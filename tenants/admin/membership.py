"""Members: roles of users in tenants."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import display

from kernel.admin.base import ConsoleAdmin
from tenants import services
from tenants.models import Membership


@admin.register(Membership)
class MembershipAdmin(ConsoleAdmin):
    list_display = ("user", "tenant", "role_name", "created_at")
    list_display_links = ("user",)
    list_filter = ("role", ("tenant", AutocompleteSelectFilter))
    list_select_related = ("user", "tenant")
    search_fields = ("user__username", "user__email", "tenant__slug")
    autocomplete_fields = ("tenant", "user")
    fields = ("tenant", "user", "role")
    when_empty = "Give a user a role in a tenant. Operators need none: they may see everything."

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("tenant", "user") if obj else ()

    @display(description="Role", ordering="role", label=True)
    def role_name(self, membership: Membership) -> str:
        return membership.role

    def create_row(self, *, row: Any, form: Any) -> Membership:
        return services.add_member(tenant=row.tenant, user=row.user, role=row.role)

    def update_row(self, *, row: Any, form: Any) -> None:
        services.change_role(membership=row, role=row.role)

    def delete_row(self, *, row: Any) -> None:
        services.remove_member(membership=row)
