"""The admin of model endpoints."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.postgres.forms import SimpleArrayField
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextInputWidget,
    UnfoldAdminURLInputWidget,
)

from inference.admin.endpoint_actions import (
    ACTIVATE,
    ACTIVATE_SELECTED,
    DRAIN,
    DRAIN_SELECTED,
    EJECT,
    HOLD_CLOSED,
    RELEASE,
    EndpointActions,
)
from inference.endpoints import manual as static_endpoints
from inference.endpoints import states as endpoint_states
from inference.endpoints.breaker_override import LABELS
from inference.models import ModelEndpoint
from kernel.admin.formatting import BADGES

BREAKERS = {"forced open": "danger", "forced closed": "warning"}


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """The form of an endpoint; the credential is write-only."""

    # Engines on private networks use plain HTTP; Django 6 would assume HTTPS.
    address = forms.URLField(
        max_length=300,
        assume_scheme="http",
        widget=UnfoldAdminURLInputWidget,
        help_text="Base URL without /v1, for example http://10.0.0.5:8000.",
    )
    capabilities = SimpleArrayField(
        forms.CharField(max_length=50),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="Capabilities of the engine, comma-separated: tools, vision.",
        error_messages={"item_invalid": "Entry %(nth)s:"},
    )
    new_credential = forms.CharField(
        required=False,
        label="Credential",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="API key of the server, if it requires one. It is never displayed. "
        "Empty: the stored key does not change.",
    )


@admin.register(ModelEndpoint)
class ModelEndpointAdmin(EndpointActions):
    form = EndpointForm
    list_display = (
        *("address", "pool", "model", "state_badge", "breaker", "weight", "zone"),
        *("origin", "load", "heartbeat_at"),
    )
    list_filter = ("state", "breaker_override", "registered", "zone", "pool")
    list_select_related = ("pool",)
    search_fields = ("address", "model", "public_id", "pool__name")
    autocomplete_fields = ("pool",)
    fields = (
        *("pool", "address", "model", "new_credential", "max_concurrency"),
        *("weight", "zone", "capabilities"),
    )
    actions = ("drain_selected", "activate_selected")
    actions_detail = ("drain", "activate", "eject", "hold_closed", "release", "probe")
    questions = {
        "drain": DRAIN,
        "activate": ACTIVATE,
        "eject": EJECT,
        "hold_closed": HOLD_CLOSED,
        "release": RELEASE,
    }
    when_empty = "Start `manage.py serve_model` with a join token, or add an endpoint by hand."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelEndpoint]:
        # Without the credential, so that the page works even if the encryption key is lost.
        rows: QuerySet[ModelEndpoint] = super().get_queryset(request).defer("credential")
        return rows

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.fields, *self.get_readonly_fields(request, obj)[1:]) if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        state = (
            *("public_id", "state_badge", "breaker", "origin", "engine_version"),
            *("load", "kv_cache", "heartbeat_at"),
        )
        return ("pool", *state) if obj else ()

    @display(description="State", label=BADGES, ordering="state")
    def state_badge(self, endpoint: ModelEndpoint) -> str:
        return endpoint.state

    @display(description="Breaker", label=BREAKERS, ordering="breaker_override")
    def breaker(self, endpoint: ModelEndpoint) -> str:
        return LABELS[endpoint.breaker_override]

    @display(description="KV cache", empty_value="not reported")
    def kv_cache(self, endpoint: ModelEndpoint) -> str | None:
        used = endpoint.kv_cache_used
        return None if used is None else f"{used:.0%} in use"

    @display(description="Origin", ordering="registered")
    def origin(self, endpoint: ModelEndpoint) -> str:
        return "registered itself" if endpoint.registered else "entered by hand"

    @display(description="Running / waiting")
    def load(self, endpoint: ModelEndpoint) -> str:
        return f"{endpoint.running} / {endpoint.waiting}"

    def create_row(self, *, row: Any, form: Any) -> ModelEndpoint:
        return static_endpoints.add_static_endpoint(
            pool=row.pool,
            address=row.address,
            model=row.model,
            credential=form.cleaned_data["new_credential"],
            max_concurrency=row.max_concurrency,
            weight=row.weight,
            zone=row.zone,
            capabilities=row.capabilities,
        )

    def update_row(self, *, row: Any, form: Any) -> None:
        if form.cleaned_data["new_credential"]:
            row.credential = form.cleaned_data["new_credential"]
        static_endpoints.save_endpoint(endpoint=row)

    def delete_row(self, *, row: Any) -> None:
        static_endpoints.delete_endpoint(endpoint=row)

    @action(description="Drain the selected endpoints")
    def drain_selected(self, request: HttpRequest, queryset: QuerySet[ModelEndpoint]) -> Any:
        def act(endpoint: ModelEndpoint) -> bool:
            return endpoint_states.drain_endpoint(endpoint=endpoint)

        return self.confirm_selected(
            request, queryset, question=DRAIN_SELECTED, act=act, done="Draining"
        )

    @action(description="Activate the selected endpoints")
    def activate_selected(self, request: HttpRequest, queryset: QuerySet[ModelEndpoint]) -> Any:
        def act(endpoint: ModelEndpoint) -> bool:
            return endpoint_states.activate_endpoint(endpoint=endpoint)

        return self.confirm_selected(
            request, queryset, question=ACTIVATE_SELECTED, act=act, done="Activated"
        )
