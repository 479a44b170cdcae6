"""Runs: state, output and usage of each, with links to the ledger."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action, display

from agents.admin.conversation import primary_key_of
from agents.admin.recent_agents import AgentFilter
from agents.admin.transcript_items import items_of_run
from agents.models import Approval, Run
from agents.models.choices import TERMINAL, ApprovalState, RunState
from agents.nodes.selectors import names_of_workers
from agents.runs.cancellation import cancel_run
from kernel.admin.base import Question, ReadOnlyAdmin
from kernel.admin.bounded_lists import UncountedPaginator
from kernel.admin.formatting import BADGES, separated

CANCEL = Question(
    title="Cancel this run?",
    explains="The run stops within a second, on whichever worker it is. Its output so far is "
    "stored.",
    verb="Cancel the run",
    applies=lambda run: run.state not in TERMINAL and run.cancel_requested_at is None,
    otherwise="This run has ended or is being cancelled already.",
)


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = (
        *("public_id", "status", "tenant", "agent_or_model", "tokens", "duration"),
        *("problem", "created_at"),
    )
    list_filter = ("state", ("tenant", AutocompleteSelectFilter), AgentFilter)
    list_select_related = ("tenant",)
    search_fields = ("public_id__startswith",)
    related_search = {"conversation": ("public_id__exact",)}
    search_help_text = "The beginning of a run's id, or the whole id of a conversation."
    paginator = UncountedPaginator
    # By id, which is the order of creation; no index over all tenants orders by time.
    ordering = ("-pk",)
    sortable_by = ()
    list_fullwidth = True
    fields = (
        *("public_id", "tenant", "conversation", "previous", "door", "model", "agent"),
        *("agent_revision", "route", "request"),
    )
    actions_detail = ("cancel", "usage", "explain")
    questions = {"cancel": CANCEL}
    change_form_before_template = "agents/run.html"
    change_form_after_template = "agents/transcript.html"
    when_empty = "No runs yet. Send `POST /v1/responses` or `POST /v1/chat`, and one appears here."

    @display(description="Status", label=BADGES, ordering="state")
    def status(self, run: Run) -> str:
        return str(run.get_state_display())

    @display(description="Agent or model", ordering="agent")
    def agent_or_model(self, run: Run) -> str:
        if not run.agent:
            return run.model
        return f"{run.agent}@{run.agent_revision}" if run.agent_revision else run.agent

    @display(description="Tokens")
    def tokens(self, run: Run) -> str:
        return separated(run.prompt_tokens + run.completion_tokens)

    @display(description="Duration", empty_value="-")
    def duration(self, run: Run) -> str | None:
        return duration_of(run)

    @display(description="Problem", empty_value="-")
    def problem(self, run: Run) -> str | None:
        return (run.error or {}).get("code") or run.incomplete_reason or None

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> Any:
        """Extend Django's view with the run's facts. HTMX polls the facts alone."""
        if request.headers.get("HX-Request"):
            extra = facts_of(self.find(request, object_id))
            return TemplateResponse(request, "agents/run_facts.html", extra)
        run = Run.objects.filter(pk=primary_key_of(object_id)).first()
        extra = {} if run is None else {**facts_of(run), **items_of_run(run, request)}
        kwargs["extra_context"] = {**(kwargs.get("extra_context") or {}), **extra}
        return super().change_view(request, object_id, *args, **kwargs)

    @action(description="Cancel", icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(run: Run) -> HttpResponse:
            is_requested = cancel_run(run.tenant_id, run.public_id)
            message = (
                "The run is being cancelled."
                if is_requested
                else "The run has ended or is being cancelled already."
            )
            return self.redirect_with_message(request, run, message)

        return self.confirm(request, object_id, question=CANCEL, act=act)

    @action(description="Usage events", icon="receipt_long")
    def usage(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = self.find(request, object_id)
        ledger = reverse("admin:tenants_usageevent_changelist")
        return HttpResponseRedirect(f"{ledger}?{urlencode({'q': run.public_id})}")

    @action(description="Explain", icon="manage_search")
    def explain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        run = self.find(request, object_id)
        return HttpResponseRedirect(
            f"{reverse('admin:explain')}?{urlencode({'id': run.public_id})}"
        )


def facts_of(run: Run) -> dict[str, Any]:
    """Return the facts of a run that change while it is active."""
    approvals = list(Approval.objects.filter(run=run))
    names = names_of_workers([run.worker]) if run.worker else {}
    return {
        "run": run,
        "node": names.get(run.worker, run.worker),
        "state": str(run.get_state_display()),
        "is_over": run.state in TERMINAL,
        "waited": seconds_between(run.created_at, run.started_at),
        "took": duration_of(run),
        "waits": run.state == RunState.REQUIRES_APPROVAL,
        "decided_after": approval_seconds(approvals),
        "waiting": [each for each in approvals if each.state == ApprovalState.PENDING],
    }


def approval_seconds(approvals: Sequence[Approval]) -> str | None:
    """Return the time in which at least one call of a run waited for a decision."""
    waited, until = timedelta(), None
    for each in sorted(approvals, key=lambda approval: approval.created_at):
        end = each.resolved_at or timezone.now()
        begin = each.created_at if until is None else max(each.created_at, until)
        waited += max(timedelta(), end - begin)
        until = end if until is None else max(until, end)
    return f"{waited.total_seconds():,.1f} s" if approvals else None


def duration_of(run: Run) -> str | None:
    return seconds_between(run.started_at, run.ended_at or timezone.now())


def seconds_between(start: Any, end: Any) -> str | None:
    if start is None or end is None:
        return None
    return f"{max(0.0, (end - start).total_seconds()):,.1f} s"
