"""Agents: drafts that are changed here, compared, and published as revisions."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextInputWidget

from agents import services
from agents.comparison import compare
from agents.models import Agent, AgentRevision
from kernel.console import ConsoleAdmin, Question
from kernel.display import BADGES

PUBLISH = Question(
    title="Publish this draft?",
    explains="It becomes the next revision, and tenants are served it within a second. "
    "You can go back to any earlier revision.",
    verb="Publish",
)
NEWEST = 20


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


@admin.register(Agent)
class AgentAdmin(ConsoleAdmin):
    list_display = ("slug", "name", "tenant", "route", "serves", "draft", "changed_at")
    list_filter = (("tenant", AutocompleteSelectFilter), "route")
    list_select_related = ("tenant", "route", "published")
    search_fields = ("slug", "name", "tenant__slug")
    autocomplete_fields = ("tenant", "route")
    fields = ("tenant", "slug", "name", "description", "route", "instructions", "parameters")
    inlines = (RevisionsInline,)
    actions_detail = ("publish", "differences")
    goes_along = frozenset({"agent revision"})
    when_empty = "Make an agent: instructions and a route under a name. Then publish it."

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*self.fields, "serves", "draft") if obj else self.fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Programs call an agent by its slug: it stays what it was.
        return ("tenant", "slug", "serves", "draft") if obj else ()

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if db_field.name == "parameters":
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

    def store(self, *, row: Any, form: Any) -> Agent:
        return services.create_agent(
            tenant=row.tenant,
            slug=row.slug,
            name=row.name,
            route=row.route,
            instructions=row.instructions,
            parameters=row.parameters,
            description=row.description,
        )

    def restore(self, *, row: Any, form: Any) -> None:
        # Every emptiness that JSON knows means: no presets.
        row.parameters = row.parameters or {}
        services.save_draft(agent=row)

    def remove(self, *, row: Any) -> None:
        services.delete_agent(agent=row)

    @action(description="Publish", icon="publish")
    def publish(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent, *, note: str) -> HttpResponse:
            user: Any = request.user
            revision = services.publish(agent=agent, user=user, note=note)
            return self.done(request, agent, f"Tenants are served {revision} now.")

        return self.ask_first(
            request,
            object_id,
            question=PUBLISH,
            act=act,
            form=NoteForm,
            context=self.differing(self.find(request, object_id)),
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
            "lines": compare(served=agent.published, draft=agent),
            "compared": True,
            "served": agent.published,
        }
