"""The page on which two policies are tried out on the same load."""

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

from inference.admin.chart import Chart, Series, draw_chart
from inference.errors import PolicyRefused
from inference.models import ModelPool
from inference.models.scaling_policy import MAX_REPLICAS, MAX_WINDOW_SECONDS
from inference.scaling.policies.presets import PRESETS
from inference.scaling.rehearsal.drafts import STORED, Edits, Load, draft_of, find_load, try_out
from inference.scaling.rehearsal.load_profiles import SHAPES
from inference.scaling.rehearsal.simulation import Rehearsal

LOADS = (
    ("day", "What came in the last 24 hours"),
    ("three", "What came in the last 3 days"),
    ("week", "What came in the last 7 days"),
    *((name, f"Imagined: {shape.label}") for name, shape in SHAPES.items()),
)
BASES = (
    (STORED, "The stored policy"),
    *((name, preset.label) for name, preset in PRESETS.items()),
)


def whole(*, most: int, label: str, least: int = 0) -> forms.IntegerField:
    return forms.IntegerField(
        required=False,
        min_value=least,
        max_value=most,
        label=label,
        widget=UnfoldAdminIntegerFieldWidget(attrs={"placeholder": "as it is"}),
    )


class LoadForm(forms.Form):
    load = forms.ChoiceField(choices=LOADS, initial="day", widget=UnfoldAdminSelectWidget)
    ordinary = forms.FloatField(
        required=False,
        min_value=0.001,
        max_value=1e6,
        label="Ordinary load of an imagined one, requests/s",
        widget=UnfoldAdminDecimalFieldWidget(attrs={"placeholder": "what two replicas take"}),
    )


class DraftForm(forms.Form):
    basis = forms.ChoiceField(choices=BASES, initial=STORED, widget=UnfoldAdminSelectWidget)
    min_replicas = whole(least=1, most=MAX_REPLICAS, label="Min replicas")
    max_replicas = whole(least=1, most=MAX_REPLICAS, label="Max replicas")
    down_window = whole(most=MAX_WINDOW_SECONDS, label="Window before shrinking, s")
    idle_seconds = whole(least=60, most=604_800, label="Scale to zero after, s")
    targets_percent = forms.FloatField(
        required=False,
        min_value=1,
        max_value=1000,
        label="Targets, % of what they are",
        widget=UnfoldAdminDecimalFieldWidget(attrs={"placeholder": "100"}),
    )

    def edits(self) -> Edits:
        """Of the valid form."""
        filled = {name: value for name, value in self.cleaned_data.items() if value is not None}
        filled.pop("basis")
        return Edits(**filled)


def rehearse_pool(request: HttpRequest, pool: str) -> HttpResponse:
    """Two drafts over one load. Raises Http404 if there is no pool of that name."""
    row = get_object_or_404(ModelPool, name=pool)
    asked = request.GET or None
    forms_ = (
        LoadForm(asked),
        DraftForm(asked, prefix="a"),
        DraftForm(asked, prefix="b", initial={"basis": "chat"}),
    )
    context = {
        **admin.site.each_context(request),
        "title": f"Rehearsal of {pool}",
        "pool": row,
        "load_form": forms_[0],
        "drafts": (("A", forms_[1]), ("B", forms_[2])),
        "shapes": SHAPES,
    }
    if asked and all(form.is_valid() for form in forms_):
        try:
            context |= outcome_of(row, *forms_)
        except PolicyRefused as refusal:
            context["refusal"] = refusal.message
    return TemplateResponse(request, "inference/rehearse.html", context)


def outcome_of(
    pool: ModelPool, load_form: LoadForm, first: DraftForm, second: DraftForm
) -> dict[str, Any]:
    """What the page shows of it. Raises PolicyRefused."""
    now = timezone.now()
    asked = load_form.cleaned_data
    load = find_load(pool, name=asked["load"], ordinary=asked["ordinary"], now=now)
    if not load.moments:
        raise PolicyRefused(
            "Nothing is recorded of that time. Choose an imagined load, or come back when the pool "
            "has worked for a while."
        )
    drafts = [
        draft_of(pool, basis=form.cleaned_data["basis"], edits=form.edits(), now=now)
        for form in (first, second)
    ]
    found = [try_out(draft, load) for draft in drafts]
    return {
        "learned": load.learned,
        "rows": compared(found, load),
        "charts": charts_of(found),
    }


def compared(found: list[Rehearsal], load: Load) -> list[tuple[str, str, list[str]]]:
    """Each line: what it is, what there was then, and both drafts."""
    one = found[0]
    costs = any(each.cost for each in found)
    hours_then = one.replica_hours_then
    lines: list[tuple[str, str, list[str]]] = [
        ("Wait, 95 of 100 requests", "", [seconds(each.wait_p95) for each in found]),
        ("Wait, half of the requests", "", [seconds(each.wait_p50) for each in found]),
        ("Longest wait", "", [seconds(each.wait_most) for each in found]),
        (
            "Replica-hours",
            "" if hours_then is None else f"{hours_then:,.1f}",
            [f"{each.replica_hours:,.1f}" for each in found],
        ),
        (
            "Compared with an oracle",
            "",
            [f"{each.replica_hours / max(load.oracle_hours, 1e-9):,.2f} times" for each in found],
        ),
        ("Peak replicas", "", [f"{each.most:,}" for each in found]),
        ("Changes", "", [f"{each.changes:,}" for each in found]),
    ]
    if costs:
        then = "" if one.cost_then is None else f"{one.cost_then:,.2f}"
        lines.append(("Cost", then, [f"{each.cost:,.2f}" for each in found]))
    return lines


def seconds(value: float) -> str:
    return "none" if value < 0.005 else f"{value:,.2f} s" if value < 10 else f"{value:,.0f} s"  # noqa: PLR2004


def charts_of(found: list[Rehearsal]) -> list[Chart]:
    one, two = (each.points for each in found)
    since, until = one[0].at, one[-1].at
    load = Series(css="waiting", label="", points=[(each.at, each.arrivals) for each in one])
    then = Series(css="tokens", label="then", points=[(each.at, each.then) for each in one])
    replicas = [
        Series(css=css, label=name, points=[(each.at, each.replicas) for each in points])
        for css, name, points in (("running", "A", one), ("other", "B", two))
    ]
    waits = [
        Series(css=css, label=name, points=[(each.at, each.wait) for each in points])
        for css, name, points in (("running", "A", one), ("other", "B", two))
    ]
    drawn = (
        draw_chart("Load", [load], since=since, until=until, unit="requests/s"),
        draw_chart("Replicas", [*replicas, then], since=since, until=until, unit="replicas"),
        draw_chart("Longest wait", waits, since=since, until=until, unit="s"),
    )
    return [chart for chart in drawn if chart]
