"""Agents of others, registered by their agent cards. Credentials are write-only."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from agents.a2a.remote_agents import (
    delete_remote_agent,
    ensure_storable,
    refresh_remote_agent,
    save_remote_agent,
)
from agents.models import RemoteAgent
from kernel.admin.base import ConsoleAdmin, Question, add_refusals
from kernel.admin.formatting import BADGES

REFRESH = Question(
    title="Fetch the agent card again?",
    explains="The address and the skills of the agent are replaced by those of its card.",
    verb="Fetch",
)


class RemoteAgentForm(forms.ModelForm):  # type: ignore[type-arg]
    """A remote agent. The service fetches the card when the form is saved."""

    new_credential = forms.CharField(
        required=False,
        label="Credential",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Sent with each message. It is never shown again. Empty: keep the stored "
        "credential.",
    )
    forget_credential = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Delete the stored credential.",
    )

    def clean(self) -> Any:
        cleaned = super().clean() or {}
        if cleaned.get("new_credential"):
            self.instance.credential = cleaned["new_credential"]
        elif cleaned.get("forget_credential"):
            self.instance.credential = ""
        return cleaned

    def _post_clean(self) -> None:  # Django calls it last, with the row filled in
        """Run the service's checks, so that each error is shown at its field."""
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            add_refusals(self, ensure_storable, self.instance)


@admin.register(RemoteAgent)
class RemoteAgentAdmin(ConsoleAdmin):
    form = RemoteAgentForm
    list_display = ("name", "tenant", "shown_name", "interface_url", "state", "fetched_at")
    list_filter = (("tenant", AutocompleteSelectFilter), "enabled")
    list_select_related = ("tenant",)
    search_fields = ("name", "card_url", "tenant__slug")
    autocomplete_fields = ("tenant",)
    card_fields = ("shown_name", "version", "skills", "interface_url", "binding", "fetched_at")
    credential_fields = (
        *("credential_state", "new_credential", "forget_credential"),
        *("credential_header", "credential_prefix"),
    )
    readonly_fields = (*card_fields, "credential_state")
    actions_detail = ("refresh",)
    questions = {"refresh": REFRESH}
    when_empty = "Register an agent of others by its agent card, then make a tool that calls it."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        card = (("Agent card", {"fields": self.card_fields}),) if obj else ()
        return (
            (None, {"fields": ("tenant", "name", "card_url", "enabled")}),
            *card,
            ("Credential", {"fields": self.credential_fields}),
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[RemoteAgent]:
        rows: QuerySet[RemoteAgent] = super().get_queryset(request).defer("credential")
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Tools refer to the name.
        fixed = ("tenant", "name") if obj else ()
        return (*fixed, *self.readonly_fields)

    @display(description="Agent")
    def shown_name(self, agent: RemoteAgent) -> str:
        return str(agent.card.get("name", "-"))

    @display(description="Version")
    def version(self, agent: RemoteAgent) -> str:
        return str(agent.card.get("version", "")) or "-"

    @display(description="Skills")
    def skills(self, agent: RemoteAgent) -> str:
        return ", ".join(agent.capabilities) or "-"

    @display(description="Status", label=BADGES, ordering="enabled")
    def state(self, agent: RemoteAgent) -> str:
        return "active" if agent.enabled else "off"

    @display(description="Stored")
    def credential_state(self, agent: RemoteAgent) -> str:
        rows = RemoteAgent.objects.filter(pk=agent.pk).exclude(credential="")
        return "set (encrypted)" if agent.pk and rows.exists() else "not set"

    def create_row(self, *, row: Any, form: Any) -> RemoteAgent:
        save_remote_agent(agent=row)
        agent: RemoteAgent = row
        return agent

    def update_row(self, *, row: Any, form: Any) -> None:
        save_remote_agent(agent=row)

    def delete_row(self, *, row: Any) -> None:
        delete_remote_agent(agent=row)

    @action(description="Fetch the card", icon="refresh")
    def refresh(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: RemoteAgent) -> HttpResponse:
            refresh_remote_agent(agent=agent)
            return self.redirect_with_message(request, agent, "The card is stored.")

        return self.confirm(request, object_id, question=REFRESH, act=act)
