"""The rollout of an agent: started, monitored, promoted or stopped on the agent's pages."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from unfold.decorators import action
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from agents.models import Agent, AgentRevision, Rollout
from agents.rollouts import services as rollout_services
from agents.rollouts.evaluation import compare_revisions
from agents.rollouts.lifecycle import MAX_REASON_CHARS, running_rollout
from agents.rollouts.thresholds import DEFAULT_THRESHOLDS, Thresholds
from kernel.admin.base import ConsoleAdmin, Question
from kernel.admin.forms import reason_form

START = Question(
    title="Roll out a revision to a share of conversations",
    explains="A conversation keeps the revision that it started with. Both revisions are "
    "compared once a minute, and the candidate is rolled back automatically if its "
    "error rate or latency is too high.",
    verb="Start the rollout",
)
PROMOTE = Question(
    title="Promote this revision?",
    explains="The rollout ends, and the candidate serves all conversations within a second.",
    verb="Promote",
)
STOP = Question(
    title="Stop this rollout?",
    explains="The published revision serves all conversations again within a second.",
    verb="Stop the rollout",
    dangerous=True,
)
DRAFT = "draft"
NEWEST = 50


def number_field(
    label: str, help_text: str, *, initial: int, bounds: tuple[int, int]
) -> forms.IntegerField:
    min_value, max_value = bounds
    return forms.IntegerField(
        label=label,
        help_text=help_text,
        initial=initial,
        min_value=min_value,
        max_value=max_value,
        widget=UnfoldAdminIntegerFieldWidget,
    )


class StartForm(forms.Form):
    """The candidate, its share of conversations, and the thresholds of a rollback."""

    what = forms.ChoiceField(label="Revision", widget=UnfoldAdminSelectWidget)
    share = number_field(
        "Share (%)",
        "Percentage of conversations that the candidate serves.",
        initial=5,
        bounds=(1, 99),
    )
    min_runs = number_field(
        "Minimum runs",
        "Runs that each revision needs before the two are compared.",
        initial=DEFAULT_THRESHOLDS.min_runs,
        bounds=(0, 1_000_000),
    )
    max_error_rate_increase_points = number_field(
        "Maximum error rate increase (percentage points)",
        "The candidate is rolled back if its error rate is higher by more than this.",
        initial=DEFAULT_THRESHOLDS.max_error_rate_increase_points,
        bounds=(0, 100),
    )
    max_latency_increase_percent = number_field(
        "Maximum latency increase (%)",
        "The candidate is rolled back if the 95th percentile of its latency or of its time to "
        "first token is higher by more than this.",
        initial=DEFAULT_THRESHOLDS.max_latency_increase_percent,
        bounds=(0, 10_000),
    )
    note = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="What changed in the draft, and why.",
    )


ReasonForm = reason_form(max_chars=MAX_REASON_CHARS)


class AgentRollouts(ConsoleAdmin):
    """The rollout's actions on the page of an agent."""

    def get_urls(self) -> Any:
        """Add the confirmation pages, to which only the page of a rollout links."""
        own = [
            path(
                f"<path:object_id>/{name}/",
                self.admin_site.admin_view(getattr(self, name)),
                name=f"agents_agent_{name}",
            )
            for name in ("promote", "stop")
        ]
        return [*own, *super().get_urls()]

    @action(description="Rollout", icon="percent")
    def rollout(self, request: HttpRequest, object_id: str) -> HttpResponse:
        agent = self.find(request, object_id)
        running = running_rollout(agent)
        if running is None:
            return self.begin(request, object_id, agent)
        is_part = bool(request.headers.get("hx-request"))
        template = "agents/rollout_live.html" if is_part else "agents/rollout.html"
        context = {"title": f"Rollout of {agent}", **rollout_context(running)}
        return self.page(request, agent, template=template, context=context)

    def begin(self, request: HttpRequest, object_id: str, agent: Agent) -> HttpResponse:
        choices = candidate_choices(agent)

        class Form(StartForm):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                what: Any = self.fields["what"]
                what.choices = choices

        def act(agent: Agent, **data: Any) -> HttpResponse:
            return self.start(request, agent, data)

        return self.confirm(request, object_id, question=START, act=act, form=Form)

    def start(self, request: HttpRequest, agent: Agent, data: dict[str, Any]) -> HttpResponse:
        what, share, note = data.pop("what"), data.pop("share"), data.pop("note")
        user: Any = request.user
        rollout = rollout_services.start_rollout(
            agent=agent,
            share=share,
            revision=None if what == DRAFT else agent.revisions.get(number=int(what)),
            thresholds=Thresholds(**data),
            user=user,
            note=note,
        )
        self.redirect_with_message(request, agent, f"Rolling out {rollout}.")
        return HttpResponseRedirect(self.rollout_address(agent))

    def rollout_address(self, agent: Agent) -> str:
        return reverse(f"{self.admin_site.name}:agents_agent_rollout", args=(agent.pk,))

    def promote(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent) -> HttpResponse:
            revision = rollout_services.promote_rollout(agent=agent)
            return self.redirect_with_message(request, agent, f"Tenants are served {revision} now.")

        return self.confirm(request, object_id, question=PROMOTE, act=act)

    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent, *, reason: str) -> HttpResponse:
            rollout_services.stop_rollout(agent=agent, reason=reason)
            return self.redirect_with_message(request, agent, "The rollout is stopped.")

        return self.confirm(request, object_id, question=STOP, act=act, form=ReasonForm)


def candidate_choices(agent: Agent) -> list[tuple[str, str]]:
    """Return the draft if it has changes, then the newest revisions except the published one."""
    revisions = AgentRevision.objects.filter(agent=agent)
    if agent.published is not None:
        revisions = revisions.exclude(pk=agent.published.pk)
    draft = [(DRAFT, "the draft, as a new revision")] if agent.has_unpublished_changes() else []
    return [*draft, *((str(each.number), revision_label(each)) for each in revisions[:NEWEST])]


def revision_label(revision: AgentRevision) -> str:
    return f"revision {revision.number}" + (f": {revision.note}" if revision.note else "")


def rollout_context(rollout: Rollout) -> dict[str, Any]:
    """Return the context of the page of a running rollout, with the metrics of both revisions."""
    agent = Agent.objects.select_related("published").get(pk=rollout.agent_id)
    rollout.agent = agent
    compared = compare_revisions(rollout)
    rows = [
        ("Served", agent.published, 100 - rollout.share, compared.base),
        ("Candidate", rollout.revision, rollout.share, compared.candidate),
    ]
    is_decided = min(compared.base.runs, compared.candidate.runs) >= rollout.min_runs
    return {
        "rollout": rollout,
        "rows": rows,
        "is_decided": is_decided,
        "why": compared.regression,
        "signs": compared.early_warnings,
        "marks": {sign.figure: sign.mark for sign in compared.early_warnings},
    }
