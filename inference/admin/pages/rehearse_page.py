"""The page that rehearses two policies on the same load."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
)

from inference.errors import PolicyRefused
from inference.models import ModelPool
from inference.models.scaling_policy import MAX_REPLICAS, MAX_WINDOW_SECONDS
from inference.scaling.policies.presets import PRESETS
from inference.scaling.rehearsal.drafts import (
    STORED,
    Edits,
    RehearsalLoad,
    draft_of,
    find_load,
    rehearse_draft,
)
from inference.scaling.rehearsal.load_profiles import LOAD_PROFILES
from inference.scaling.rehearsal.simulation import Rehearsal
from kernel.admin.charts import Chart, Series, line_chart

LOADS = (
    ("day", "Recorded in the last 24 hours"),
    ("three_days", "Recorded in the last 3 days"),
    ("week", "Recorded in the last 7 days"),
    *((name, f"Synthetic: {profile.label}") for name, profile in LOAD_PROFILES.items()),
)
BASES = (
    (STORED, "The stored policy"),
    *((name, preset.label) for name, preset in PRESETS.items()),
)


def whole(*, max_value: int, label: str, min_value: int = 0) -> forms.IntegerField:
    return forms.IntegerField(
        required=False,
        min_value=min_value,
        max_value=max_value,
        label=label,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"placeholder": "unchanged"}),
    )


class LoadForm(forms.Form):
    load = forms.ChoiceField(choices=LOADS, initial="day", widget=UnfoldAdminSelectWidget)
    base_request_rate = forms.FloatField(
        required=False,
        min_value=0.001,
        max_value=1e6,
        label="Base rate of a synthetic load, requests/s",
        widget=UnfoldAdminDecimalFieldWidget(attrs={"placeholder": "the capacity of two replicas"}),
    )


class DraftForm(forms.Form):
    basis = forms.ChoiceField(choices=BASES, initial=STORED, widget=UnfoldAdminSelectWidget)
    min_replicas = whole(min_value=1, max_value=MAX_REPLICAS, label="Min replicas")
    max_replicas = whole(min_value=1, max_value=MAX_REPLICAS, label="Max replicas")
    down_window = whole(max_value=MAX_WINDOW_SECONDS, label="Window before scaling in, s")
    idle_seconds = whole(min_value=60, max_value=604_800, label="Scale to zero after, s")
    targets_percent = forms.FloatField(
        required=False,
        min_value=1,
        max_value=1000,
        label="Targets, % of the basis",
        widget=UnfoldAdminDecimalFieldWidget(attrs={"placeholder": "100"}),
    )

    def edits(self) -> Edits:
        """Return the edits of the valid form."""
        filled = {name: value for name, value in self.cleaned_data.items() if value is not None}
        filled.pop("basis")
        return Edits(**filled)


def rehearse_pool(request: HttpRequest, pool: str) -> HttpResponse:
    """Rehearse two drafts on one load. Raises Http404 if the pool does not exist."""
    row = get_object_or_404(ModelPool, name=pool)
    submitted = request.GET or None
    forms_ = (
        LoadForm(submitted),
        DraftForm(submitted, prefix="a"),
        DraftForm(submitted, prefix="b", initial={"basis": "chat"}),
    )
    context = {
        **admin.site.each_context(request),
        "title": f"Rehearsal of {pool}",
        "pool": row,
        "load_form": forms_[0],
        "drafts": (("A", forms_[1]), ("B", forms_[2])),
    }
    if submitted and all(form.is_valid() for form in forms_):
        try:
            context |= outcome_of(row, *forms_)
        except PolicyRefused as refusal:
            context["refusal"] = refusal.message
    return TemplateResponse(request, "inference/rehearse.html", context)


def outcome_of(
    pool: ModelPool, load_form: LoadForm, first: DraftForm, second: DraftForm
) -> dict[str, Any]:
    """Return the results of both drafts. Raises PolicyRefused."""
    now = timezone.now()
    choice = load_form.cleaned_data
    load = find_load(
        pool, name=choice["load"], base_request_rate=choice["base_request_rate"], now=now
    )
    if not load.moments:
        raise PolicyRefused(
            "No samples are recorded for this time. Choose a synthetic load, or another time."
        )
    drafts = [
        draft_of(pool, basis=form.cleaned_data["basis"], edits=form.edits(), now=now)
        for form in (first, second)
    ]
    found = [rehearse_draft(draft, load) for draft in drafts]
    return {
        "estimate": load.estimate,
        "rows": comparison_rows(found, load),
        "charts": charts_of(found),
    }


def comparison_rows(
    found: list[Rehearsal], load: RehearsalLoad
) -> list[tuple[str, str, list[str]]]:
    """Return rows of label, recorded value, and the values of both drafts."""
    one = found[0]
    costs = any(each.cost for each in found)
    recorded_hours = one.recorded_replica_hours
    lines: list[tuple[str, str, list[str]]] = [
        ("Wait, 95th percentile", "", [seconds(each.wait_p95) for each in found]),
        ("Wait, median", "", [seconds(each.wait_p50) for each in found]),
        ("Maximum wait", "", [seconds(each.wait_max) for each in found]),
        (
            "Replica-hours",
            "" if recorded_hours is None else f"{recorded_hours:,.1f}",
            [f"{each.replica_hours:,.1f}" for each in found],
        ),
        (
            "Compared with an oracle",
            "",
            [f"{each.replica_hours / max(load.oracle_hours, 1e-9):,.2f} times" for each in found],
        ),
        ("Peak replicas", "", [f"{each.peak_replicas:,}" for each in found]),
        ("Changes", "", [f"{each.changes:,}" for each in found]),
    ]
    if costs:
        then = "" if one.recorded_cost is None else f"{one.recorded_cost:,.2f}"
        lines.append(("Cost", then, [f"{each.cost:,.2f}" for each in found]))
    return lines


def seconds(value: float) -> str:
    return "none" if value < 0.005 else f"{value:,.2f} s" if value < 10 else f"{value:,.0f} s"  # noqa: PLR2004


def charts_of(found: list[Rehearsal]) -> list[Chart]:
    one, two = (each.points for each in found)
    since, until = one[0].at, one[-1].at
    load = Series(css="waiting", label="", points=[(each.at, each.arrivals) for each in one])
    then = Series(
        css="tokens", label="recorded", points=[(each.at, each.recorded_replicas) for each in one]
    )
    replicas = [
        Series(css=css, label=name, points=[(each.at, each.replicas) for each in points])
        for css, name, points in (("running", "A", one), ("other", "B", two))
    ]
    waits = [
        Series(css=css, label=name, points=[(each.at, each.wait) for each in points])
        for css, name, points in (("running", "A", one), ("other", "B", two))
    ]
    drawn = (
        line_chart("Load", [load], since=since, until=until, unit="requests/s"),
        line_chart("Replicas", [*replicas, then], since=since, until=until, unit="replicas"),
        line_chart("Maximum wait", waits, since=since, until=until, unit="s"),
    )
    return [chart for chart in drawn if chart]
