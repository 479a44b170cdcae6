"""Users, who are deactivated but never deleted, because revisions refer to them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from kernel.admin.formatting import BADGES
from tenants import services
from tenants.models import User
from tenants.operator_tokens import end_tokens
from tenants.sign_in_locks import unlock_user

# Only operator status and memberships give rights, so groups are not used.
admin.site.unregister(Group)


class PersonForm(UserChangeForm):
    """The form of a user. Refuses to remove the rights of the acting user."""

    acting: User

    def clean(self) -> Any:
        answers = super().clean()
        leaves = not (self.cleaned_data.get("is_active") and self.cleaned_data.get("is_superuser"))
        if self.instance == self.acting and leaves:
            raise forms.ValidationError(
                "You cannot remove your own rights. Ask another operator to do it."
            )
        return answers


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = PersonForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "kind", "state", "last_login")
    list_filter = ("is_superuser", "is_active")
    search_fields = ("username", "email", "first_name", "last_name")
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password", "first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "is_superuser")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    actions = ("unlock", "revoke_tokens")
    list_per_page = 50
    show_full_result_count = False
    when_empty = "Add a user, then give them a role in a tenant, or make them an operator."

    def get_form(  # type: ignore[override]
        self, request: HttpRequest, obj: Any = None, **kwargs: Any
    ) -> Any:
        form: Any = super().get_form(request, obj, **kwargs)
        form.acting = request.user
        rights = form.base_fields.get("is_superuser")
        if rights:
            rights.label = "Operator"
            rights.help_text = "Sees and changes everything in this console."
        return form

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {"title": "Users", **(extra_context or {})})

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        services.save_user(user=obj)

    @display(description="Kind", label={"operator": "info"}, ordering="is_superuser")
    def kind(self, user: User) -> str:
        return "operator" if user.is_superuser else "tenant user"

    @display(description="Status", label=BADGES, ordering="is_active")
    def state(self, user: User) -> str:
        return "active" if user.is_active else "blocked"

    @action(description="Unlock sign-in")
    def unlock(self, request: HttpRequest, users: QuerySet[User]) -> None:
        unlocked = [user.username for user in users if unlock_user(user=user)]
        message = f"Unlocked: {', '.join(unlocked)}." if unlocked else "No user was locked out."
        self.message_user(request, message)

    @action(description="Revoke all their API tokens")
    def revoke_tokens(self, request: HttpRequest, users: QuerySet[User]) -> None:
        revoked = sum(end_tokens(user) for user in users)
        self.message_user(request, f"Revoked API tokens: {revoked}.")
