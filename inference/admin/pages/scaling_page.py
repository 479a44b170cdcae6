"""The page of a pool's scaling: what it sees, what it wants, what it did and why not more."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone

from inference.admin.chart import Chart, Series, draw_chart
from inference.models import (
    ModelEndpoint,
    ModelPool,
    PoolSample,
    ScalingDecision,
    ScalingPolicy,
    ScalingState,
)
from inference.models.scaling_record import SLOT_SECONDS
from inference.scaling.decision.schedules import next_span
from inference.scaling.policies.mapping import stored_hours
from inference.scaling.policies.presets import PRESETS
from inference.scaling.policies.services import is_overridden
from inference.signal_kinds import MEASURES

HTMX = "HX-Request"
DRAWN = timedelta(hours=3)
SHOWN_DECISIONS = 20
STALE_SECONDS = 4 * SLOT_SECONDS
HELD = {
    "window": "It waits until the whole window agrees.",
    "limit": "It may not change more at once.",
    "cooldown": "It rests after the last change.",
    "disabled": "The policy switches this direction off.",
    "bounds": "Its bounds end here.",
    "paused": "Somebody paused it.",
    "override": "Somebody set it by hand.",
    "actuator": "Its actuator cannot be asked.",
}


def scaling(request: HttpRequest) -> HttpResponse:
    """Every pool with its policy, or the presets for it."""
    stored = {policy.pool_id: policy for policy in ScalingPolicy.objects.all()}
    shown = {state.pool_id: state.shown for state in ScalingState.objects.all()}
    there = replicas_by_pool()
    rows = [
        {
            "pool": pool,
            "policy": stored.get(pool.pk),
            "reason": shown.get(pool.pk, {}).get("reason", ""),
            "replicas": shown.get(pool.pk, {}).get("replicas", there.get(pool.pk, 0)),
            "desired": shown.get(pool.pk, {}).get("desired", "-"),
            "bounds": bounds_of(stored.get(pool.pk), shown.get(pool.pk, {})),
        }
        for pool in ModelPool.objects.all()
    ]
    context = {**admin.site.each_context(request), "title": "Scaling", "rows": rows}
    return TemplateResponse(request, "inference/scaling.html", context)


def replicas_by_pool() -> dict[int, int]:
    """Endpoints that are there: for pools that were not evaluated yet."""
    state = ModelEndpoint.State
    rows = ModelEndpoint.objects.filter(state__in=(state.READY, state.UNHEALTHY))
    counted = rows.order_by().values_list("pool_id").annotate(count=Count("pk"))
    return dict(counted)


def bounds_of(policy: ScalingPolicy | None, shown: Mapping[str, Any]) -> str:
    """Those in force: a schedule's, as long as it is."""
    if policy is None:
        return "-"
    least, most = shown.get("least"), shown.get("most")
    known = least is not None and most is not None
    least, most = (least, most) if known else (policy.min_replicas, policy.max_replicas)
    return f"{least} to {most}"


def scaling_pool(request: HttpRequest, pool: str) -> HttpResponse:
    """One pool. Raises Http404 if there is none of that name."""
    context = shown_of(get_object_or_404(ModelPool, name=pool), now=timezone.now())
    if HTMX in request.headers:
        return TemplateResponse(request, "inference/scaling_live.html", context)
    whole = {**admin.site.each_context(request), "title": f"Scaling of {pool}", **context}
    return TemplateResponse(request, "inference/scaling_pool.html", whole)


def shown_of(pool: ModelPool, *, now: datetime) -> dict[str, Any]:
    """What the part of the page that refreshes itself shows."""
    policy = find_policy(pool)
    state = ScalingState.objects.filter(pool=pool).first()
    shown = state.shown if state else {}
    samples = list(
        PoolSample.objects.filter(
            pool=pool, stretch=PoolSample.Stretch.SLOT, at__gte=now - DRAWN
        ).order_by("at")
    )
    decisions = ScalingDecision.objects.filter(pool=pool)[:SHOWN_DECISIONS]
    hours = stored_hours(policy) if policy else ()
    return {
        "pool": pool,
        "policy": policy,
        "now": now,
        "shown": shown,
        "numbers": {name: shown.get(name, "-") for name in ("replicas", "desired", "proposed")},
        "is_stale": not shown or now.timestamp() - shown["at"] > STALE_SECONDS,
        "is_overridden": bool(policy) and is_overridden(policy, now=now),
        "next_schedule": next_span(hours, after=now),
        "charts": charts_of(samples, policy, now=now),
        "decisions": decisions,
        "signals": signals_of(shown, policy),
        "held": held_of(shown),
        "presets": PRESETS,
    }


def held_of(shown: Mapping[str, Any]) -> str:
    """Why the signals are not followed; empty if they are."""
    wanted, bounded = shown.get("desired"), shown.get("held_by") == "bounds"
    if bounded and wanted is not None and shown["least"] <= shown["proposed"] <= shown["most"]:
        return "First it comes back within its bounds; the rest follows with the next look."
    return HELD.get(shown.get("held_by", ""), "")


def find_policy(pool: ModelPool) -> Any:
    rows = ScalingPolicy.objects.filter(pool=pool).select_related("pool")
    return rows.prefetch_related("signals", "schedules").first()


def signals_of(shown: dict[str, Any], policy: ScalingPolicy | None) -> list[dict[str, Any]]:
    """Every signal as it was last seen, those of the policy first."""
    wanted = {row.kind: row for row in policy.signals.all()} if policy else {}
    signals, notes = shown.get("signals", {}), shown.get("notes", {})
    kinds = sorted(MEASURES, key=lambda kind: (kind not in wanted, list(MEASURES).index(kind)))
    return [
        {
            "measure": MEASURES[kind],
            "value": signals.get(kind),
            "note": notes.get(kind, ""),
            "wanted": wanted.get(kind),
        }
        for kind in kinds
        if kind in signals or kind in wanted
    ]


def charts_of(
    samples: list[PoolSample], policy: ScalingPolicy | None, *, now: datetime
) -> list[Chart]:
    """Replicas with their bounds, what came, and what waited."""

    def line(css: str, label: str, name: str, *, is_stepped: bool = False) -> Series:
        points = [(each.at.timestamp(), getattr(each, name)) for each in samples]
        return Series(css=css, label=label, points=points, is_stepped=is_stepped)

    since, until = (now - DRAWN).timestamp(), now.timestamp()
    replicas = [
        line("bound", "at most", "most", is_stepped=True),
        line("bound", "at least", "least", is_stepped=True),
        line("desired", "wanted", "desired", is_stepped=True),
        line("running", "there", "replicas", is_stepped=True),
        line("tokens", "ready", "ready", is_stepped=True),
    ]
    load = [
        line("running", "in flight", "in_flight"),
        line("waiting", "waiting", "waiting"),
    ]
    others = [
        draw_chart(
            MEASURES[kind].label,
            [line("tokens", "", kind)],
            since=since,
            until=until,
            # What is drawn is the whole pool's.
            unit=MEASURES[kind].unit.removesuffix(" per replica"),
        )
        for kind in ("request_rate", "kv_cache", "ttft_p95", "cpu", "memory", "gpu")
        if policy and any(row.kind == kind for row in policy.signals.all())
    ]
    charts = [
        draw_chart("Replicas", replicas, since=since, until=until, unit="replicas"),
        draw_chart("Requests", load, since=since, until=until, unit="requests"),
        *others,
    ]
    return [chart for chart in charts if chart]
