"""API keys: created, rotated, blocked and unblocked, never deleted. Their text is shown once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminTextInputWidget,
)

from kernel.admin.base import SECRET, ConsoleAdmin, OneTimeSecret, Question
from kernel.admin.formatting import BADGES
from tenants import services
from tenants.admin.key_status import KeyStatusFilter
from tenants.models import ApiKey
from tenants.models.api_key import Scope, every_scope, validate_network
from tenants.services import IssuedKey

WHEN = ("prefix", "last_used_at", "replaces", "created_at")
BLOCK = Question(
    title="Block this API key?",
    explains="Every request with it is refused within a second. Only operators can unblock it.",
    verb="Block",
    dangerous=True,
    applies=lambda key: key.blocked_at is None,
    otherwise="This key is blocked already.",
)
UNBLOCK = Question(
    title="Unblock this API key?",
    explains="Requests with it are accepted again within a second.",
    verb="Unblock",
    applies=lambda key: key.blocked_at is not None,
    otherwise="This key is not blocked.",
)
BLOCK_SELECTED = replace(
    BLOCK,
    title="Block these API keys?",
    explains="Every request with them is refused within a second. You can unblock them later.",
)
UNBLOCK_SELECTED = replace(
    UNBLOCK,
    title="Unblock these API keys?",
    explains="Requests with them are accepted again within a second.",
)
ROTATE = Question(
    title="Rotate this API key?",
    explains="Creates a new key with the same rights and limits, whose text is displayed once. "
    "This key stays valid until the overlap ends. Limits count both together.",
    verb="Rotate",
)
EXAMPLE = """curl {url}/v1/chat/completions \\
  -H "Authorization: Bearer {secret}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


class KeyForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of a key, without its text."""

    scopes = forms.MultipleChoiceField(
        choices=Scope,
        initial=every_scope,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Kinds of requests that the key may send.",
    )
    # Validated by the form field, because Django drops the message of the model's validator.
    allowed_networks = SimpleArrayField(
        forms.CharField(max_length=50, validators=[validate_network]),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Client addresses or networks to accept, comma-separated. Empty: any.",
        error_messages={"item_invalid": "Entry %(nth)s:"},
    )

    def clean(self) -> Any:
        answers = super().clean() or {}
        member = answers.get("member")
        tenant = answers.get("tenant") or (self.instance.tenant if self.instance.pk else None)
        if member and tenant and member.tenant_id != tenant.pk:
            raise ValidationError({"member": f"Choose a member of {tenant}, or none."})
        return answers


class OverlapForm(forms.Form):
    """The time until the old key expires."""

    hours = forms.IntegerField(
        min_value=0,
        max_value=24 * 90,
        initial=24,
        label="Overlap in hours",
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="Time until the old key expires. 0: it expires at once.",
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ConsoleAdmin):
    form = KeyForm
    list_display = ("name", "prefix", "tenant", "member", "state", "expires_at", "last_used_at")
    list_filter = (KeyStatusFilter, ("tenant", AutocompleteSelectFilter))
    # Not joined, because PostgreSQL would join all keys before it sorts them.
    list_select_related = ()
    search_fields = ("name__icontains", "prefix__icontains")
    related_search = {"tenant": ("slug__icontains", "name__icontains")}
    # Counting the choices of a filter would read all keys for each choice.
    show_facets = admin.ShowFacets.NEVER
    autocomplete_fields = ("tenant", "member")
    fields = (
        *("tenant", "name", "member", "scopes"),
        *("allowed_models", "allowed_networks", "expires_at"),
    )
    formfield_overrides = {ArrayField: {"widget": UnfoldAdminTextInputWidget}}
    actions = ("block_selected", "unblock_selected")
    actions_detail = ("rotate", "block", "unblock")
    questions = {"block": BLOCK, "unblock": UNBLOCK}
    when_empty = "Create a key for a tenant. Its text is displayed once, with an example."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        rows: QuerySet[ApiKey] = super().get_queryset(request)
        return rows.prefetch_related("tenant", "member__user")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        state = ("state", "blocked_by", *WHEN)
        return (*self.fields, *state) if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        state = ("tenant", "state", "blocked_by", *WHEN)
        return state if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="Status", label=BADGES)
    def state(self, key: ApiKey) -> str:
        return key.status(now=timezone.now())

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        if change:
            # Unchanged fields must not become restrictions by the operator.
            changed = [name for name in services.KEY_FIELDS if name in form.changed_data]
            services.save_key(key=obj, fields=changed)
            return
        issued = issue(obj)
        vars(obj).update(vars(issued.key))
        setattr(request, SECRET, issued.secret)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> Any:
        return self.show(request, IssuedKey(key=obj, secret=getattr(request, SECRET)))

    def show(self, request: HttpRequest, issued: IssuedKey) -> HttpResponse:
        secret_page = OneTimeSecret(
            title="Copy this API key now",
            secret=issued.secret,
            explains=f"It is for {issued.key.tenant}. It is displayed only now, because only a "
            "digest is stored. If it is lost, rotate the key.",
            command=EXAMPLE.format(
                url=settings.GATEWAY_URL,
                secret=issued.secret,
                model=next(iter(issued.key.allowed_models), "MODEL"),
            ),
        )
        return self.show_once(request, issued.key, secret_page)

    @action(description="Rotate", icon="autorenew")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(key: ApiKey, *, hours: int) -> HttpResponse:
            overlap = timedelta(hours=hours)
            issued = services.rotate_key(key=key, now=timezone.now(), overlap=overlap)
            self.log_change(request, key, f"Rotated; replaced by {issued.key}.")
            return self.show(request, issued)

        return self.confirm(request, object_id, question=ROTATE, act=act, form=OverlapForm)

    @action(description="Block", icon="block")
    def block(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(key: ApiKey) -> HttpResponse:
            services.block_key(key=key, now=timezone.now())
            return self.redirect_with_message(request, key, f"{key} is blocked.")

        return self.confirm(request, object_id, question=BLOCK, act=act)

    @action(description="Unblock", icon="lock_open")
    def unblock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(key: ApiKey) -> HttpResponse:
            services.unblock_key(key=key)
            return self.redirect_with_message(request, key, f"{key} is accepted again.")

        return self.confirm(request, object_id, question=UNBLOCK, act=act)

    @action(description="Block the selected keys")
    def block_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> Any:
        now = timezone.now()

        def act(key: ApiKey) -> bool:
            return services.block_key(key=key, now=now)

        return self.confirm_selected(
            request, queryset, question=BLOCK_SELECTED, act=act, done="Blocked"
        )

    @action(description="Unblock the selected keys")
    def unblock_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> Any:
        def act(key: ApiKey) -> bool:
            return services.unblock_key(key=key)

        return self.confirm_selected(
            request, queryset, question=UNBLOCK_SELECTED, act=act, done="Unblocked"
        )


def issue(key: ApiKey) -> IssuedKey:
    """Create a key with the values of a form."""
    return services.issue_key(
        tenant=key.tenant,
        name=key.name,
        scopes=key.scopes,
        member=key.member,
        allowed_models=key.allowed_models,
        allowed_networks=key.allowed_networks,
        expires_at=key.expires_at,
    )
