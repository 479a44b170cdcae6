"""Rollouts: the candidate, its share, and how and why each ended."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.models import Rollout
from kernel.admin.base import ReadOnlyAdmin

STATES = {"running": "info", "promoted": "success", "stopped": "warning", "rolled back": "danger"}


@admin.register(Rollout)
class RolloutAdmin(ReadOnlyAdmin):
    list_display = (
        "agent",
        "tenant",
        "candidate",
        "share_percent",
        "status",
        "reason",
        "started_at",
    )
    list_filter = (
        "state",
        ("tenant", AutocompleteSelectFilter),
        ("agent", AutocompleteSelectFilter),
    )
    list_select_related = ("agent", "tenant", "revision")
    search_fields = ("agent__slug", "reason")
    fields = (
        *("agent", "tenant", "candidate", "share_percent", "status", "reason"),
        *(
            "min_runs",
            "max_error_rate_increase_points",
            "max_latency_increase_percent",
            "started_at",
            "ended_at",
        ),
    )
    actions_detail = ("compare",)
    when_empty = "No rollouts yet. Start one on the page of an agent."

    @display(description="Revision", ordering="revision__number")
    def candidate(self, rollout: Rollout) -> int:
        return rollout.revision.number

    @display(description="Share", ordering="share")
    def share_percent(self, rollout: Rollout) -> str:
        return f"{rollout.share} %"

    @display(description="Status", label=STATES, ordering="state")
    def status(self, rollout: Rollout) -> str:
        return rollout.state.replace("_", " ")

    @action(description="Compare on the agent's page", icon="percent", url_path="compare")
    def compare(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Redirect to the page that compares both revisions."""
        rollout = self.find(request, object_id)
        return HttpResponseRedirect(reverse("admin:agents_agent_rollout", args=(rollout.agent_id,)))
