"""Model endpoints: entered by hand or registered, drained, activated and taken out."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminURLInputWidget

from inference import registry
from inference.models import ModelEndpoint
from kernel.console import ConsoleAdmin, Question
from kernel.display import BADGES

DRAIN = Question(
    title="Drain this endpoint?",
    explains="It gets no new requests; what runs on it finishes.",
    verb="Drain",
)
ACTIVATE = Question(
    title="Activate this endpoint?",
    explains="It gets requests again within a second.",
    verb="Activate",
)


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]
    """The credential goes in and never comes out."""

    # Engines on private networks speak plain HTTP; Django 6 would assume HTTPS.
    address = forms.URLField(
        max_length=300,
        assume_scheme="http",
        widget=UnfoldAdminURLInputWidget,
        help_text="Base URL without /v1, for example http://10.0.0.5:8000.",
    )
    new_credential = forms.CharField(
        required=False,
        label="Credential",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="The server's own API key, if it wants one. It is never shown again. "
        "Empty: keep what is stored.",
    )


@admin.register(ModelEndpoint)
class ModelEndpointAdmin(ConsoleAdmin):
    form = EndpointForm
    list_display = ("address", "pool", "model", "state_badge", "origin", "load", "heartbeat_at")
    list_filter = ("state", "registered", "pool")
    list_select_related = ("pool",)
    search_fields = ("address", "model", "public_id", "pool__name")
    autocomplete_fields = ("pool",)
    fields = ("pool", "address", "model", "new_credential", "max_concurrency")
    actions = ("drain_selected", "activate_selected")
    actions_detail = ("drain", "activate")
    when_empty = "Start `manage.py serve_model` with a join token, or enter a server by hand."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelEndpoint]:
        # Not read, so that a lost encryption key does not take the whole page with it.
        rows: QuerySet[ModelEndpoint] = super().get_queryset(request).defer("credential")
        return rows

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.fields, *self.get_readonly_fields(request, obj)[1:]) if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        state = ("public_id", "state_badge", "origin", "engine_version", "load", "heartbeat_at")
        return ("pool", *state) if obj else ()

    @display(description="State", label=BADGES, ordering="state")
    def state_badge(self, endpoint: ModelEndpoint) -> str:
        return endpoint.state

    @display(description="Origin", ordering="registered")
    def origin(self, endpoint: ModelEndpoint) -> str:
        return "registered itself" if endpoint.registered else "entered by hand"

    @display(description="Running / waiting")
    def load(self, endpoint: ModelEndpoint) -> str:
        return f"{endpoint.running} / {endpoint.waiting}"

    def store(self, *, row: Any, form: Any) -> ModelEndpoint:
        return registry.add_static_endpoint(
            pool=row.pool,
            address=row.address,
            model=row.model,
            credential=form.cleaned_data["new_credential"],
            max_concurrency=row.max_concurrency,
        )

    def restore(self, *, row: Any, form: Any) -> None:
        if form.cleaned_data["new_credential"]:
            row.credential = form.cleaned_data["new_credential"]
        registry.save_endpoint(endpoint=row)

    def remove(self, *, row: Any) -> None:
        registry.delete_endpoint(endpoint=row)

    @action(description="Drain", icon="water_drop")
    def drain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = registry.drain_endpoint(endpoint=endpoint)
            said = "is draining" if moved else "was not ready; nothing changed"
            return self.done(request, endpoint, f"{endpoint.address} {said}.")

        return self.ask_first(request, object_id, question=DRAIN, act=act)

    @action(description="Activate", icon="play_arrow")
    def activate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(endpoint: ModelEndpoint) -> HttpResponse:
            moved = registry.activate_endpoint(endpoint=endpoint)
            said = "is ready" if moved else "was not draining; nothing changed"
            return self.done(request, endpoint, f"{endpoint.address} {said}.")

        return self.ask_first(request, object_id, question=ACTIVATE, act=act)

    @action(description="Drain the selected endpoints")
    def drain_selected(self, request: HttpRequest, queryset: QuerySet[ModelEndpoint]) -> None:
        changed = sum(registry.drain_endpoint(endpoint=endpoint) for endpoint in queryset)
        self.message_user(request, f"Draining: {changed}.")

    @action(description="Activate the selected endpoints")
    def activate_selected(self, request: HttpRequest, queryset: QuerySet[ModelEndpoint]) -> None:
        changed = sum(registry.activate_endpoint(endpoint=endpoint) for endpoint in queryset)
        self.message_user(request, f"Activated: {changed}.")
