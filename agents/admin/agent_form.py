"""The form of a draft: instructions, model, tools, limits, conversation and response cache."""

from typing import Any

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminTextInputWidget

from agents.models import Agent, Tool
from agents.revisions.validation import validate_draft, validate_routing
from agents.tool_library.store import ensure_no_cycle
from kernel.admin.base import add_refusals

VARIABLES = (
    "Variables of the instructions, written as {{name}}, and the default of each as "
    'JSON: {"city": "Riga"}. A request may set other values.'
)


class AgentForm(forms.ModelForm):  # type: ignore[type-arg]
    """A draft. Its tools are chosen from the tenant's tools."""

    tools = forms.MultipleChoiceField(
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="The tools that the model may call. Create tools on their own page.",
    )

    capabilities = SimpleArrayField(
        forms.CharField(),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="What tasks may require of this agent, separated by commas: "
        "translate.de-en, summarize",
    )

    subscriptions = SimpleArrayField(
        forms.CharField(),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="The topics whose messages the agent gets, separated by commas: orders.new, news",
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
        """Run the service's checks, so that each error is shown at its field."""
        super()._post_clean()  # type: ignore[misc]
        if not self.errors:
            add_refusals(self, validate_routing, self.instance)
        if not self.errors and self.instance.pk:
            add_refusals(self, validate_draft, self.instance)
            add_refusals(self, ensure_no_cycle, self.instance)

    def clean_parameters(self) -> Any:
        # Every empty JSON value means that there are no defaults.
        return self.cleaned_data["parameters"] or {}

    def clean_variables(self) -> Any:
        return self.cleaned_data["variables"] or {}

    def clean_capability_schemas(self) -> Any:
        return self.cleaned_data["capability_schemas"] or {}

    def clean_placement(self) -> Any:
        return self.cleaned_data["placement"] or {}


def tool_choices(agent: Agent) -> list[tuple[str, str]]:
    """Return the tenant's tools, and deleted tools that the draft still names."""
    rows = Tool.objects.filter(tenant_id=agent.tenant_id).order_by("name")
    known = {tool.name: label_of(tool) for tool in rows.defer("credential")}
    gone = {name: f"{name} (deleted)" for name in agent.tools if name not in known}
    return [*known.items(), *gone.items()]


def label_of(tool: Tool) -> str:
    off = "" if tool.enabled else ", off"
    approval = ", needs approval" if tool.needs_approval else ""
    return f"{tool.name} ({tool.get_kind_display()}{approval}{off})"
