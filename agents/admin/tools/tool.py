"""Tools that a tenant's agents may call. Credentials are write-only."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from agents.admin.tools.imports import ToolImports
from agents.admin.tools.kind_help import EXAMPLES, SCHEMA_EXAMPLE
from agents.admin.tools.test_call import ToolTestCalls
from agents.models import Tool
from agents.tool_library.store import delete_tool, ensure_tool, own_description, save_tool
from kernel.admin.base import add_refusals
from kernel.admin.formatting import BADGES


class IndentedJson(json.JSONEncoder):
    """JSON that is indented, because a schema on one line cannot be read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2})


class ToolForm(forms.ModelForm):  # type: ignore[type-arg]
    """Shows what each kind needs. The service validates the tool when it is saved."""

    new_credential = forms.CharField(
        required=False,
        label="Credential",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Sent with each call. It is never shown again. Empty: keep the stored "
        "credential.",
    )
    forget_credential = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="Delete the stored credential.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, text in (("settings", examples_of(self.instance)), ("schema", SCHEMA_EXAMPLE)):
            if name in self.fields:
                self.fields[name].help_text = text
        if "description" in self.fields:
            # The description of a built-in tool is predefined.
            self.fields["description"].required = False

    def clean(self) -> Any:
        cleaned = super().clean() or {}
        if cleaned.get("new_credential"):
            self.instance.credential = cleaned["new_credential"]
        elif cleaned.get("forget_credential"):
            self.instance.credential = ""
        for name in ("schema", "settings"):
            if name in cleaned:
                cleaned[name] = cleaned[name] or {}
        return cleaned

    def _post_clean(self) -> None:  # Django calls it last, with the row filled in
        """Run the service's checks, so that each error is shown at its field."""
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            self.instance.description = self.instance.description or own_description(self.instance)
            add_refusals(self, ensure_tool, self.instance)


def examples_of(tool: Tool) -> SafeString:
    """Examples of the settings of the tool's kind, or of every kind for a new tool."""
    # A row may be of a kind that another version added.
    kinds = [tool.kind] if tool.pk else EXAMPLES
    examples = (EXAMPLES[kind] for kind in kinds if kind in EXAMPLES)
    rows = ((example.title, example.explains, example.json) for example in examples)
    each = '<div class="mb-2"><b class="font-semibold">{}</b>: {} <code>{}</code></div>'
    return format_html_join("", each, rows)


@admin.register(Tool)
class ToolAdmin(ToolTestCalls, ToolImports):
    form = ToolForm
    list_display = ("name", "tenant", "kind", "state", "approval", "timeout", "changed_at")
    list_filter = (
        "kind",
        "enabled",
        "needs_approval",
        ("tenant", AutocompleteSelectFilter),
    )
    list_select_related = ("tenant",)
    search_fields = ("name", "description", "tenant__slug")
    autocomplete_fields = ("tenant",)
    fieldsets = (
        (None, {"fields": ("tenant", "name", "kind", "enabled")}),
        ("Description for the model", {"fields": ("description", "schema")}),
        (
            "Execution",
            {"fields": ("settings", "timeout_seconds", "needs_approval", "is_idempotent")},
        ),
        ("Protocols", {"fields": ("offered_over_mcp",)}),
        ("Credential", {"fields": ("credential_state", "new_credential", "forget_credential")}),
    )
    readonly_fields = ("credential_state",)
    actions_detail = ("trial",)
    actions_list = ("openapi", "mcp")
    actions = ("enable_selected", "disable_selected")
    when_empty = (
        "No tools yet. Create one, or import tools from an OpenAPI document or an MCP server."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tool]:
        # Deferred, so that a lost encryption key does not break the whole list.
        rows: QuerySet[Tool] = super().get_queryset(request).defer("credential")
        return rows

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Revisions refer to the name, and the settings depend on the kind.
        fixed = ("tenant", "name", "kind") if obj else ()
        return (*fixed, *self.readonly_fields)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in {"schema", "settings"}:
            field.widget = UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"})
            field.encoder = IndentedJson
        elif db_field.name == "description":
            field.widget.attrs["rows"] = 3
        return field

    @display(description="Status", label=BADGES, ordering="enabled")
    def state(self, tool: Tool) -> str:
        return "active" if tool.enabled else "off"

    @display(description="Approval", ordering="needs_approval")
    def approval(self, tool: Tool) -> str:
        return "each call needs approval" if tool.needs_approval else "-"

    @display(description="Timeout", ordering="timeout_seconds")
    def timeout(self, tool: Tool) -> str:
        return f"{tool.timeout_seconds} s"

    @display(description="Stored")
    def credential_state(self, tool: Tool) -> str:
        if not tool.pk:
            return "not set"
        stored = Tool.objects.filter(pk=tool.pk).exclude(credential="").exists()
        return "set (encrypted)" if stored else "not set"

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        save_tool(tool=obj)

    def delete_row(self, *, row: Any) -> None:
        delete_tool(tool=row)

    @action(description="Enable")
    def enable_selected(self, request: HttpRequest, tools: QuerySet[Tool]) -> None:
        self.switch(request, tools, enabled=True)

    @action(description="Disable")
    def disable_selected(self, request: HttpRequest, tools: QuerySet[Tool]) -> None:
        self.switch(request, tools, enabled=False)

    def switch(self, request: HttpRequest, tools: QuerySet[Tool], *, enabled: bool) -> None:
        for tool in tools:
            tool.enabled = enabled
            save_tool(tool=tool)
        word = "enabled" if enabled else "disabled"
        self.message_user(request, f"{len(tools)} tools are {word} now.")
