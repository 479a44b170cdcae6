"""The page of a pool's scaling: signals, recommendation, decisions and their limits."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone

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
from kernel.admin.charts import Chart, Series, line_chart

HTMX = "HX-Request"
CHART_SPAN = timedelta(hours=3)
MAX_DECISIONS = 20
STALE_SECONDS = 4 * SLOT_SECONDS
LIMITED_BY_TEXTS = {
    "window": "The stabilization window has not passed yet.",
    "limit": "The rate of change is limited.",
    "cooldown": "The cooldown after the last change has not passed yet.",
    "disabled": "The policy disables scaling in this direction.",
    "bounds": "The bounds of the policy are reached.",
    "paused": "The policy is paused.",
    "override": "A manual override is active.",
    "actuator": "The actuator does not respond.",
}


def scaling(request: HttpRequest) -> HttpResponse:
    """Render every pool with its policy."""
    stored = {policy.pool_id: policy for policy in ScalingPolicy.objects.all()}
    status = {state.pool_id: state.status for state in ScalingState.objects.all()}
    there = replicas_by_pool()
    rows = [
        {
            "pool": pool,
            "policy": stored.get(pool.pk),
            "reason": status.get(pool.pk, {}).get("reason", ""),
            "replicas": status.get(pool.pk, {}).get("replicas", there.get(pool.pk, 0)),
            "desired": status.get(pool.pk, {}).get("desired", "-"),
            "bounds": bounds_of(stored.get(pool.pk), status.get(pool.pk, {})),
        }
        for pool in ModelPool.objects.all()
    ]
    context = {**admin.site.each_context(request), "title": "Scaling", "rows": rows}
    return TemplateResponse(request, "inference/scaling.html", context)


def replicas_by_pool() -> dict[int, int]:
    """Return the number of endpoints by pool, for pools that were not evaluated yet."""
    state = ModelEndpoint.State
    rows = ModelEndpoint.objects.filter(state__in=(state.READY, state.UNHEALTHY))
    counted = rows.order_by().values_list("pool_id").annotate(count=Count("pk"))
    return dict(counted)


def bounds_of(policy: ScalingPolicy | None, status: Mapping[str, Any]) -> str:
    """Return the active bounds: those of the active schedule, or else of the policy."""
    if policy is None:
        return "-"
    min_replicas, max_replicas = status.get("min_replicas"), status.get("max_replicas")
    known = min_replicas is not None and max_replicas is not None
    min_replicas, max_replicas = (
        (min_replicas, max_replicas) if known else (policy.min_replicas, policy.max_replicas)
    )
    return f"{min_replicas} to {max_replicas}"


def scaling_pool(request: HttpRequest, pool: str) -> HttpResponse:
    """Render one pool. Raises Http404 if it does not exist."""
    context = live_context(get_object_or_404(ModelPool, name=pool), now=timezone.now())
    if HTMX in request.headers:
        return TemplateResponse(request, "inference/scaling_live.html", context)
    whole = {**admin.site.each_context(request), "title": f"Scaling of {pool}", **context}
    return TemplateResponse(request, "inference/scaling_pool.html", whole)


def live_context(pool: ModelPool, *, now: datetime) -> dict[str, Any]:
    """Return the context of the part that refreshes itself."""
    policy = find_policy(pool)
    state = ScalingState.objects.filter(pool=pool).first()
    status = state.status if state else {}
    samples = list(
        PoolSample.objects.filter(
            pool=pool, stretch=PoolSample.Stretch.SLOT, at__gte=now - CHART_SPAN
        ).order_by("at")
    )
    decisions = ScalingDecision.objects.filter(pool=pool)[:MAX_DECISIONS]
    hours = stored_hours(policy) if policy else ()
    return {
        "pool": pool,
        "policy": policy,
        "now": now,
        "status": status,
        "numbers": {name: status.get(name, "-") for name in ("replicas", "desired", "proposed")},
        "is_stale": not status or now.timestamp() - status["at"] > STALE_SECONDS,
        "is_overridden": bool(policy) and is_overridden(policy, now=now),
        "next_schedule": next_span(hours, after=now),
        "charts": charts_of(samples, policy, now=now),
        "decisions": decisions,
        "signals": signals_of(status, policy),
        "limited_by_text": limited_by_text(status),
        "presets": PRESETS,
    }


def limited_by_text(status: Mapping[str, Any]) -> str:
    """Return what limits the recommendation; empty if nothing does."""
    wanted, bounded = status.get("desired"), status.get("limited_by") == "bounds"
    if (
        bounded
        and wanted is not None
        and status["min_replicas"] <= status["proposed"] <= status["max_replicas"]
    ):
        return "The first step returns to the bounds; the next evaluation continues from there."
    return LIMITED_BY_TEXTS.get(status.get("limited_by", ""), "")


def find_policy(pool: ModelPool) -> Any:
    rows = ScalingPolicy.objects.filter(pool=pool).select_related("pool")
    return rows.prefetch_related("signals", "schedules").first()


def signals_of(status: dict[str, Any], policy: ScalingPolicy | None) -> list[dict[str, Any]]:
    """Return the last value of every signal, those of the policy first."""
    wanted = {row.kind: row for row in policy.signals.all()} if policy else {}
    signals, notes = status.get("signals", {}), status.get("notes", {})
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
    """Draw the replicas with their bounds, the requests, and the policy's signals."""

    def line(css: str, label: str, name: str, *, is_stepped: bool = False) -> Series:
        points = [(each.at.timestamp(), getattr(each, name)) for each in samples]
        return Series(css=css, label=label, points=points, is_stepped=is_stepped)

    since, until = (now - CHART_SPAN).timestamp(), now.timestamp()
    replicas = [
        line("bound", "max", "max_replicas", is_stepped=True),
        line("bound", "min", "min_replicas", is_stepped=True),
        line("desired", "desired", "desired", is_stepped=True),
        line("running", "current", "replicas", is_stepped=True),
        line("tokens", "ready", "ready", is_stepped=True),
    ]
    load = [
        line("running", "in flight", "in_flight"),
        line("waiting", "queued", "waiting"),
    ]
    others = [
        line_chart(
            MEASURES[kind].label,
            [line("tokens", "", kind)],
            since=since,
            until=until,
            # The chart has the sum of the pool, not the value per replica.
            unit=MEASURES[kind].unit.removesuffix(" per replica"),
        )
        for kind in ("request_rate", "kv_cache", "ttft_p95", "cpu", "memory", "gpu")
        if policy and any(row.kind == kind for row in policy.signals.all())
    ]
    charts = [
        line_chart("Replicas", replicas, since=since, until=until, unit="replicas"),
        line_chart("Requests", load, since=since, until=until, unit="requests"),
        *others,
    ]
    return [chart for chart in charts if chart]
