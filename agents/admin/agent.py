"""Agents: a draft is edited here, compared with revisions, and published as the next one."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from agents import services
from agents.admin.agent_form import AgentForm
from agents.admin.agent_operations import PAUSE, RESUME, UNDEPLOY, AgentOperations
from agents.admin.agent_rollout import AgentRollouts
from agents.errors import NothingToPublish
from agents.models import Agent, AgentRevision, Rollout
from agents.models.agent import FROZEN
from agents.models.choices import RolloutState
from agents.revisions.diff import diff
from kernel.admin.base import Question
from kernel.admin.formatting import BADGES

PUBLISH = Question(
    title="Publish this draft?",
    explains="The draft becomes the next revision and serves all requests within a second. You "
    "can serve any earlier revision again.",
    verb="Publish",
)
NEWEST = 20
MAX_CAPABILITIES_SHOWN = 3
DRAFT = "draft"


class NoteForm(forms.Form):
    note = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="What changed, and why. The list of revisions shows it.",
    )


class RevisionsInline(TabularInline):
    """The newest revisions. Each has its own page with an action that serves it again."""

    model = AgentRevision
    fk_name = "agent"
    fields = ("number", "note", "published_by", "published_at")
    readonly_fields = fields
    ordering = ("-number",)
    per_page = NEWEST
    extra = 0
    hide_title = True
    can_delete = False
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentRevision]:
        rows: QuerySet[AgentRevision] = super().get_queryset(request)
        return rows.select_related("published_by", "agent")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CompareForm(forms.Form):
    """Two configurations of one agent."""

    old = forms.ChoiceField(label="From", widget=UnfoldAdminSelectWidget)
    new = forms.ChoiceField(label="To", widget=UnfoldAdminSelectWidget)

    def __init__(self, choices: list[tuple[str, str]], data: dict[str, str]) -> None:
        super().__init__(data)
        for name in ("old", "new"):
            field: Any = self.fields[name]
            field.choices = choices


CACHE = (
    "An equal request gets the stored response, and the model is not called. Choose “all "
    "requests” only if all users of the tenant may share responses."
)
CAPABILITIES = (
    "Tasks (POST /v1/tasks) name what they require, and an agent that has it is chosen. These "
    "fields are of the agent, not of its revisions: a change takes effect within a second."
)
SUBSCRIPTIONS = (
    "A message to a topic (POST /v1/topics/{topic}/messages) starts a run of each agent that "
    "subscribes to it. A change takes effect within a second."
)
PROTOCOLS = (
    "Other programs may call the agent with an API key of the tenant. A change takes effect "
    "within a second. Its agent card of A2A is public, at "
    "/a2a/&lt;tenant&gt;/&lt;agent&gt;/.well-known/agent-card.json of the gateway; the "
    "capabilities are its skills."
)
SETS = (
    (None, {"fields": ("tenant", "slug", "name", "description")}),
    ("Instructions", {"fields": ("instructions", "variables")}),
    ("Model", {"fields": ("route", "parameters")}),
    ("Tools", {"fields": ("tools",)}),
    (
        "Run limits",
        {"fields": (("max_steps", "max_tool_calls"), ("max_run_seconds", "max_run_tokens"))},
    ),
    ("Conversation", {"fields": (("busy_policy", "overflow"),)}),
    ("Response cache", {"fields": (("response_cache", "cache_seconds"),), "description": CACHE}),
    (
        "Capabilities and placement",
        {
            "fields": ("capabilities", "capability_schemas", "placement"),
            "description": CAPABILITIES,
        },
    ),
    ("Messages", {"fields": ("subscriptions",), "description": SUBSCRIPTIONS}),
    (
        "Protocols",
        {"fields": ("offered_over_mcp", "offered_over_a2a"), "description": PROTOCOLS},
    ),
)


@admin.register(Agent)
class AgentAdmin(AgentOperations, AgentRollouts):
    form = AgentForm
    list_display = (
        *("slug", "name", "tenant", "route", "serves", "draft", "status", "able_to"),
        "changed_at",
    )
    list_filter = (("tenant", AutocompleteSelectFilter), "route", "is_paused")
    list_select_related = ("tenant", "route", "published")
    search_fields = ("slug", "name", "tenant__slug")
    autocomplete_fields = ("tenant", "route")
    # Labels stand above the fields, because a row has several fields.
    compressed_fields = False
    inlines = (RevisionsInline,)
    change_form_after_template = "agents/agent_nodes.html"
    actions_detail = (
        *("publish", "differences", "compare", "rollout", "pause", "resume", "undeploy"),
    )
    questions = {"pause": PAUSE, "resume": RESUME, "undeploy": UNDEPLOY}
    deleted_together = frozenset({"revision", "rollout"})
    when_empty = "Create an agent with a name, instructions and a model route. Then publish it."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            # Tools belong to a tenant, so they can be chosen only after the agent has one.
            return [each for each in SETS if each[0] != "Tools"]
        state = ("State", {"fields": (("serves", "draft", "running_rollout", "status"),)})
        return [SETS[0], state, *SETS[1:]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Clients call an agent by its slug, so the slug never changes.
        shown = ("tenant", "slug", "serves", "draft", "running_rollout", "status")
        return shown if obj else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in {"parameters", "variables", "capability_schemas", "placement"}:
            field.widget.attrs["rows"] = 4
        return field

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    @display(description="Serves", empty_value="not published")
    def serves(self, agent: Agent) -> str | None:
        return f"revision {agent.published.number}" if agent.published else None

    @display(description="Draft", label={"unpublished changes": "warning", **BADGES})
    def draft(self, agent: Agent) -> str:
        return "unpublished changes" if agent.has_unpublished_changes() else "published"

    @display(description="Status", label={"paused": "warning", "active": "success"})
    def status(self, agent: Agent) -> str:
        return "paused" if agent.is_paused else "active"

    @display(description="Capabilities", empty_value="-")
    def able_to(self, agent: Agent) -> str | None:
        rest = len(agent.capabilities) - MAX_CAPABILITIES_SHOWN
        shown = ", ".join(agent.capabilities[:MAX_CAPABILITIES_SHOWN])
        return f"{shown} and {rest} more" if rest > 0 else shown or None

    @display(description="Rollout", empty_value="none")
    def running_rollout(self, agent: Agent) -> str | None:
        rows = Rollout.objects.filter(agent=agent, state=RolloutState.RUNNING)
        running = rows.select_related("revision").first()
        return f"revision {running.revision.number}, {running.share} %" if running else None

    def create_row(self, *, row: Any, form: Any) -> Agent:
        return services.create_agent(
            tenant=row.tenant,
            slug=row.slug,
            name=row.name,
            description=row.description,
            **{name.removesuffix("_id"): getattr(row, name.removesuffix("_id")) for name in FROZEN},
            **{name: getattr(row, name) for name in services.AGENT_FIELDS},
        )

    def update_row(self, *, row: Any, form: Any) -> None:
        services.save_draft(agent=row)

    def delete_row(self, *, row: Any) -> None:
        services.delete_agent(agent=row)

    @action(description="Publish", icon="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent, *, note: str) -> HttpResponse:
            user: Any = request.user
            revision = services.publish(agent=agent, user=user, note=note)
            return self.redirect_with_message(request, agent, f"Tenants are served {revision} now.")

        agent = self.find(request, object_id)
        if request.method == "GET" and not agent.has_unpublished_changes():
            return self.refuse(request, NothingToPublish(), row=agent)
        return self.confirm(
            request,
            object_id,
            question=PUBLISH,
            act=act,
            form=NoteForm,
            context=self.differing(agent),
        )

    @action(description="Differences", icon="difference")
    def differences(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.find(request, object_id)
        return self.page(
            request,
            agent,
            template="agents/differences.html",
            context={"title": "What the draft changes", **self.differing(agent)},
        )

    def differing(self, agent: Agent) -> dict[str, Any]:
        return {
            "lines": diff(served=agent.published, draft=agent),
            "compared": True,
            "served": agent.published,
        }

    @action(description="Compare revisions", icon="compare_arrows")
    def compare(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.find(request, object_id)
        revisions = {str(each.number): each for each in agent.revisions.select_related("route")}
        there = {**revisions, DRAFT: agent}
        data = {"old": "", "new": DRAFT, **request.GET.dict()}
        if data["old"] not in there:
            data["old"] = str(agent.published.number) if agent.published else DRAFT
        if data["new"] not in there:
            data["new"] = DRAFT
        choices = [(DRAFT, "the draft"), *((each, f"revision {each}") for each in revisions)]
        lines = diff(served=there[data["old"]], draft=there[data["new"]])
        return self.page(
            request,
            agent,
            template="agents/compare.html",
            context={
                "title": f"Revisions of {agent}",
                "form": CompareForm(choices, data),
                "lines": lines,
            },
        )
