"""An agent's rollout on its pages: begun, watched with live numbers, promoted or stopped."""

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
from agents.rollouts.evaluation import compare_records
from agents.rollouts.lifecycle import running_rollout
from agents.rollouts.thresholds import USUAL, Thresholds
from kernel.admin.base import ConsoleAdmin, Question

START = Question(
    title="Try a revision with a share of conversations",
    explains="Each conversation stays with the revision that it began with. Once a minute both are "
    "compared, and the new one is taken back by itself if it fails more or is slower.",
    verb="Start the rollout",
)
PROMOTE = Question(
    title="Serve this revision to everybody?",
    explains="The rollout ends. Tenants are served it within a second.",
    verb="Promote",
)
STOP = Question(
    title="Stop this rollout?",
    explains="Everybody is served what they had before, within a second.",
    verb="Stop the rollout",
    dangerous=True,
)
DRAFT = "draft"
NEWEST = 50


def number_field(label: str, help_text: str, *, initial: int, most: int) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        help_text=help_text,
        initial=initial,
        min_value=1 if label.startswith("Share") else 0,
        max_value=most,
        widget=UnfoldAdminIntegerFieldWidget,
    )


class StartForm(forms.Form):
    """What is tried, with whom, and when it goes back."""

    what = forms.ChoiceField(label="Revision", widget=UnfoldAdminSelectWidget)
    share = number_field("Share, in per cent", "Of conversations.", initial=5, most=99)
    least_runs = number_field(
        "Least runs",
        "Of each revision, before they are compared.",
        initial=USUAL.least_runs,
        most=1_000_000,
    )
    most_errors = number_field(
        "Errors",
        "Points of per cent by which more of its runs may fail.",
        initial=USUAL.most_errors,
        most=100,
    )
    most_latency = number_field(
        "Latency",
        "Per cent by which its runs, or first tokens, may take longer at the 95th percentile.",
        initial=USUAL.most_latency,
        most=10_000,
    )
    note = forms.CharField(
        max_length=200,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text="If the draft is tried: what changed, and why.",
    )


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=300, required=False, widget=UnfoldAdminTextInputWidget, help_text="Why."
    )


class AgentRollouts(ConsoleAdmin):
    """The actions on rollouts of an agent's page."""

    def get_urls(self) -> Any:
        """Promoting and stopping are asked for on the rollout's page, not on every agent's."""
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
        context = {"title": f"Rollout of {agent}", **watched(running)}
        return self.page(request, agent, template=template, context=context)

    def begin(self, request: HttpRequest, object_id: str, agent: Agent) -> HttpResponse:
        choices = what_to_try(agent)

        class Form(StartForm):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                what: Any = self.fields["what"]
                what.choices = choices

        def act(agent: Agent, **data: Any) -> HttpResponse:
            return self.start(request, agent, data)

        return self.ask_first(request, object_id, question=START, act=act, form=Form)

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
        self.done(request, agent, f"Rolling out {rollout}.")
        return HttpResponseRedirect(self.rollout_address(agent))

    def rollout_address(self, agent: Agent) -> str:
        return reverse(f"{self.admin_site.name}:agents_agent_rollout", args=(agent.pk,))

    def promote(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent) -> HttpResponse:
            revision = rollout_services.promote_rollout(agent=agent)
            return self.done(request, agent, f"Tenants are served {revision} now.")

        return self.ask_first(request, object_id, question=PROMOTE, act=act)

    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(agent: Agent, *, reason: str) -> HttpResponse:
            rollout_services.stop_rollout(agent=agent, reason=reason)
            return self.done(request, agent, "The rollout is stopped.")

        return self.ask_first(request, object_id, question=STOP, act=act, form=ReasonForm)


def what_to_try(agent: Agent) -> list[tuple[str, str]]:
    """The draft if it is new, then the newest revisions but the served one."""
    revisions = AgentRevision.objects.filter(agent=agent)
    if agent.published is not None:
        revisions = revisions.exclude(pk=agent.published.pk)
    draft = [(DRAFT, "the draft, as a new revision")] if agent.has_unpublished_changes() else []
    return [*draft, *((str(each.number), described(each)) for each in revisions[:NEWEST])]


def described(revision: AgentRevision) -> str:
    return f"revision {revision.number}" + (f": {revision.note}" if revision.note else "")


def watched(rollout: Rollout) -> dict[str, Any]:
    """A rollout that is running, and what both revisions did."""
    agent = Agent.objects.select_related("published").get(pk=rollout.agent_id)
    rollout.agent = agent
    compared = compare_records(rollout)
    rows = [
        ("Served", agent.published, 100 - rollout.share, compared.base),
        ("Candidate", rollout.revision, rollout.share, compared.candidate),
    ]
    is_known = min(compared.base.runs, compared.candidate.runs) >= rollout.least_runs
    return {
        "rollout": rollout,
        "rows": rows,
        "is_known": is_known,
        "why": compared.why_worse,
        "signs": compared.early_signs,
        "marks": {sign.figure: sign.mark for sign in compared.early_signs},
    }
