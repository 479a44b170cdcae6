"""A test call on a tool's page: it takes arguments and shows the output that a model would get."""

import json
from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action
from unfold.widgets import UnfoldAdminTextareaWidget

from agents.models import Tool
from agents.runtime.loop.tool_arguments import MAX_ARGUMENTS_CHARS
from agents.tool_library.store import load_spec
from agents.tool_library.test_call import NO_AGENTS, ToolTestCall, call_tool
from kernel.admin.base import ConsoleAdmin, add_refusals

BLANKS: Mapping[Any, Any] = {
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "object": {},
}


class TestCallForm(forms.Form):
    arguments = forms.CharField(
        required=False,
        max_length=MAX_ARGUMENTS_CHARS,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"}),
        help_text="A JSON object. It is validated against the schema before the call is sent.",
    )


class ToolTestCalls(ConsoleAdmin):
    """The test call on the page of a tool."""

    @action(description="Test call", icon="play_arrow", url_path="try")
    def trial(self, request: HttpRequest, object_id: str) -> HttpResponse:
        tool = self.find(request, object_id)
        if not self.has_change_permission(request, tool):
            raise PermissionDenied
        schema = load_spec(tool).schema
        form = TestCallForm(
            request.POST if request.method == "POST" else None,
            initial={"arguments": json.dumps(sample_of(schema), indent=2, ensure_ascii=False)},
        )
        context = {
            "title": f"Test call of {tool}",
            "form": form,
            "schema": schema,
            "trial": call_if_submitted(form, tool),
            "refusal": NO_AGENTS if tool.kind == "agent" else "",
        }
        return self.page(request, tool, template="agents/tool_trial.html", context=context)


def call_if_submitted(form: TestCallForm, tool: Tool) -> ToolTestCall | None:
    """Return the result of the call. None if no call was made; the form then may have errors."""
    if not form.is_bound or not form.is_valid():
        return None
    made: list[ToolTestCall] = []

    def call(tool: Tool) -> None:
        made.append(call_tool(tool=tool, arguments=form.cleaned_data["arguments"]))

    add_refusals(form, call, tool)
    return made[0] if made else None


def sample_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return sample arguments: every required property with an empty value."""
    properties = schema.get("properties")
    known = properties if isinstance(properties, dict) else {}
    return {str(name): blank_of(known.get(name)) for name in schema.get("required") or ()}


def blank_of(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return ""
    for word in ("default", "const", "example"):
        if word in schema:
            return schema[word]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = schema.get("type")
    return BLANKS.get(kind, "") if isinstance(kind, str) else ""
