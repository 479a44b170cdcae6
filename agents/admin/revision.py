"""Revisions: the history of an agent, and the rollback to an earlier revision."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents import services
from agents.models import AgentRevision
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.formatting import BADGES

ROLL_BACK = Question(
    title="Serve this revision?",
    explains="The revision serves all requests within a second. The draft does not change.",
    verb="Serve this revision",
)


@admin.register(AgentRevision)
class AgentRevisionAdmin(ReadOnlyAdmin):
    list_display = ("agent", "number", "tenant", "state", "note", "published_by", "published_at")
    list_filter = (("tenant", AutocompleteSelectFilter), ("agent", AutocompleteSelectFilter))
    list_select_related = ("agent", "tenant", "published_by")
    search_fields = ("agent__slug", "note")
    fields = (
        *("agent", "tenant", "number", "state", "note", "published_by", "published_at"),
        *("route", "parameters", "variables", "tools", "instructions"),
        *("max_steps", "max_tool_calls", "max_run_seconds", "max_run_tokens"),
        *("busy_policy", "overflow", "response_cache", "cache_seconds"),
    )
    actions_detail = ("roll_back",)
    when_empty = "No revisions yet. Publish an agent, and its first revision appears here."

    @display(description="Status", label={"served": "success", **BADGES})
    def state(self, revision: AgentRevision) -> str:
        return "served" if revision.agent.published_id == revision.pk else "kept"

    @action(description="Serve this revision", icon="history")
    def roll_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(revision: AgentRevision) -> HttpResponse:
            services.rollback(agent=revision.agent, revision=revision)
            return self.redirect_with_message(
                request, revision, f"Tenants are served {revision} now."
            )

        return self.confirm(request, object_id, question=ROLL_BACK, act=act)
