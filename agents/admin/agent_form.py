"""The form of a draft: what it says, its model, tools, limits, conversation and response cache."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from agents.models import Agent, Tool
from agents.revisions.validation import validate_draft
from agents.tool_library.store import ensure_no_circle
from kernel.admin.base import add_refusals

VARIABLES = """Names used as {{name}} in the instructions, with the text that each has unless a
request gives another, as JSON: {"city": "Riga"}."""


class AgentForm(forms.ModelForm):  # type: ignore[type-arg]
    """A draft. Its tools are chosen among those that its tenant has."""

    tools = forms.MultipleChoiceField(
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="What the model may call. Tools are made on their own page.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agent: Agent = self.instance
        if "tools" in self.fields:
            field: Any = self.fields["tools"]
            field.choices = tool_choices(agent) if agent.pk else ()
        if "variables" in self.fields:
            self.fields["variables"].help_text = VARIABLES

    def _post_clean(self) -> None:  # Django calls it last, with the row filled in
        """Also what the service would refuse, so that the sentence stands at its field."""
        super()._post_clean()  # type: ignore[misc]
        if not self.errors and self.instance.pk:
            add_refusals(self, validate_draft, self.instance)
            add_refusals(self, ensure_no_circle, self.instance)

    def clean_parameters(self) -> Any:
        # Every emptiness that JSON knows means: no presets.
        return self.cleaned_data["parameters"] or {}

    def clean_variables(self) -> Any:
        return self.cleaned_data["variables"] or {}


def tool_choices(agent: Agent) -> list[tuple[str, str]]:
    """The tenant's tools, and those that the draft names though they are gone."""
    rows = Tool.objects.filter(tenant_id=agent.tenant_id).order_by("name")
    known = {tool.name: label_of(tool) for tool in rows.defer("credential")}
    gone = {name: f"{name} (deleted)" for name in agent.tools if name not in known}
    return [*known.items(), *gone.items()]


def label_of(tool: Tool) -> str:
    off = "" if tool.enabled else ", off"
    asks = ", needs approval" if tool.needs_approval else ""
    return f"{tool.name} ({tool.get_kind_display()}{asks}{off})"
