"""Agents: drafts that are changed here, compared, and published as revisions."""

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
    explains="It becomes the next revision, and tenants are served it within a second. "
    "You can go back to any earlier revision.",
    verb="Publish",
)
NEWEST = 20
DRAFT = "draft"


class NoteForm(forms.Form):
    note = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="What changed, and why. People see it in the list of revisions.",
    )


class RevisionsInline(TabularInline):
    """The newest revisions; each has a page of its own, where it can be served again."""

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


CACHE = """An equal request gets an equal answer without asking the model. Declare an agent safe for
“always” only if answers may be shared by everybody of its tenant."""
SETS = (
    (None, {"fields": ("tenant", "slug", "name", "description")}),
    ("What it says", {"fields": ("instructions", "variables")}),
    ("Model", {"fields": ("route", "parameters")}),
    ("Tools", {"fields": ("tools",)}),
    (
        "Limits of a run",
        {"fields": (("max_steps", "max_tool_calls"), ("max_run_seconds", "max_run_tokens"))},
    ),
    ("Conversation", {"fields": (("busy_policy", "overflow"),)}),
    ("Response cache", {"fields": (("response_cache", "cache_seconds"),), "description": CACHE}),
)


@admin.register(Agent)
class AgentAdmin(AgentRollouts):
    form = AgentForm
    list_display = ("slug", "name", "tenant", "route", "serves", "draft", "changed_at")
    list_filter = (("tenant", AutocompleteSelectFilter), "route")
    list_select_related = ("tenant", "route", "published")
    search_fields = ("slug", "name", "tenant__slug")
    autocomplete_fields = ("tenant", "route")
    # Labels above the fields: there are several in a row.
    compressed_fields = False
    inlines = (RevisionsInline,)
    actions_detail = ("publish", "differences", "compare", "rollout")
    goes_along = frozenset({"revision", "rollout"})
    when_empty = "Make an agent: instructions and a route under a name. Then publish it."

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            # Tools are a tenant's: they can be chosen once it is known.
            return [each for each in SETS if each[0] != "Tools"]
        state = ("State", {"fields": (("serves", "draft", "tries"),)})
        return [SETS[0], state, *SETS[1:]]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Programs call an agent by its slug: it stays what it was.
        return ("tenant", "slug", "serves", "draft", "tries") if obj else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name in {"parameters", "variables"}:
            field.widget.attrs["rows"] = 4
        return field

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.inlines if obj else ()

    @display(description="Serves", empty_value="nothing yet")
    def serves(self, agent: Agent) -> str | None:
        return f"revision {agent.published.number}" if agent.published else None

    @display(description="Draft", label={"unpublished changes": "warning", **BADGES})
    def draft(self, agent: Agent) -> str:
        return "unpublished changes" if agent.has_unpublished_changes() else "published"

    @display(description="Rollout", empty_value="none")
    def tries(self, agent: Agent) -> str | None:
        rows = Rollout.objects.filter(agent=agent, state=RolloutState.RUNNING)
        running = rows.select_related("revision").first()
        return f"revision {running.revision.number}, {running.share} %" if running else None

    def store(self, *, row: Any, form: Any) -> Agent:
        return services.create_agent(
            tenant=row.tenant,
            slug=row.slug,
            name=row.name,
            description=row.description,
            **{name.removesuffix("_id"): getattr(row, name.removesuffix("_id")) for name in FROZEN},
        )

    def restore(self, *, row: Any, form: Any) -> None:
        services.save_draft(agent=row)

    def remove(self, *, row: Any) -> None:
        services.delete_agent(agent=row)

    @action(description="Publish", icon="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent, *, note: str) -> HttpResponse:
            user: Any = request.user
            revision = services.publish(agent=agent, user=user, note=note)
            return self.done(request, agent, f"Tenants are served {revision} now.")

        agent = self.find(request, object_id)
        if request.method == "GET" and not agent.has_unpublished_changes():
            return self.refuse(request, NothingToPublish(), row=agent)
        return self.ask_first(
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
