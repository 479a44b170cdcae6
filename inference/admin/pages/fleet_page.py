"""The page of the fleet, which displays pools and endpoints and refreshes itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from inference.admin.join_token import command_for
from inference.admin.pages.fleet_view import UNKNOWN, FleetState, PoolView, view_pool
from inference.admin.route_labels import routes_by_pool
from inference.errors import FleetUnreadable
from inference.models import ModelEndpoint, ModelPool
from inference.monitoring.fleet_status import FleetLive, Sample, read_fleet, read_history
from kernel.admin.formatting import separated

HTMX = "HX-Request"
MAX_ENDPOINTS = 100
"""Approximate maximum of endpoints on one page, to bound its cost."""
MAX_ENDPOINTS_PER_POOL = 20
"""Maximum of endpoints per pool on the page of all pools."""
MAX_CHARTED_ENDPOINTS = 60
"""Maximum of endpoints with charts on one page."""
NO_TOKEN = "JOIN_TOKEN"  # noqa: S105 - a placeholder


def fleet(request: HttpRequest, pool: str = "") -> HttpResponse:
    """Render every pool, or the named one. Raises Http404 if it does not exist."""
    live = live_context(pool)
    if HTMX in request.headers:
        return TemplateResponse(request, "inference/fleet_live.html", live)
    context = {**admin.site.each_context(request), "title": pool or "Fleet", **live}
    return TemplateResponse(request, "inference/fleet.html", context)


def live_context(name: str) -> dict[str, Any]:
    """Return the context of the part that refreshes itself, in four queries."""
    pools = find_pools(name)
    if name and not pools:
        raise Http404
    max_rows, place = (MAX_ENDPOINTS, "pool") if name else (max_rows_per_pool(len(pools)), "fleet")
    endpoints = [endpoint for pool in pools for endpoint in endpoints_of(pool)[:max_rows]]
    live, histories = read_live(endpoints[:MAX_CHARTED_ENDPOINTS])
    fleet_state = FleetState(
        now=timezone.now(), live=live, histories=histories, routes=routes_by_pool()
    )
    views = tuple(draw_pool(pool, fleet_state, max_rows=max_rows, place=place) for pool in pools)
    return {
        "pools": views,
        "fleet_state": fleet_state,
        "name": name,
        "totals": totals_of(views, fleet_state),
    }


def max_rows_per_pool(pools: int) -> int:
    """Return the maximum of endpoints per pool, so that the page keeps its maximum."""
    return max(1, min(MAX_ENDPOINTS_PER_POOL, MAX_ENDPOINTS // max(1, pools)))


def find_pools(name: str) -> list[ModelPool]:
    # Without credentials, so that the page works even if the encryption key is lost.
    rows = ModelEndpoint.objects.defer("credential").order_by("address")
    pools = ModelPool.objects.prefetch_related(Prefetch("endpoints", rows, to_attr="listed"))
    return list(pools.filter(name=name) if name else pools)


def endpoints_of(pool: Any) -> list[ModelEndpoint]:
    return list(pool.listed)


def draw_pool(pool: ModelPool, fleet_state: FleetState, *, max_rows: int, place: str) -> PoolView:
    routes = fleet_state.routes.get(pool.pk, ())
    # The command needs the name in a label such as `smollm2 (70 %)`.
    route = routes[0].partition(" ")[0] if routes else "ROUTE"
    command = command_for(engine=pool.engine, route=route, secret=NO_TOKEN)
    rows = endpoints_of(pool)
    return view_pool(pool, rows, fleet_state, max_rows=max_rows, place=place, command=command)


def read_live(
    endpoints: Sequence[ModelEndpoint],
) -> tuple[FleetLive | None, Mapping[str, Sequence[Sample]]]:
    """Return the live state and histories; None and empty while Redis is unavailable."""
    ids = [endpoint.public_id for endpoint in endpoints]
    try:
        return read_fleet(), read_history(ids, now=timezone.now().timestamp())
    except FleetUnreadable:
        return None, {}


def totals_of(views: Sequence[PoolView], fleet_state: FleetState) -> list[dict[str, Any]]:
    """Return the cards above the pools."""
    ready, total = sum(view.ready for view in views), sum(view.total for view in views)
    running = queued = workers = UNKNOWN
    if fleet_state.live is not None:
        workers = separated(fleet_state.live.workers)
    if fleet_state.live is not None and fleet_state.live.workers:
        running = separated(sum(each.in_flight for each in fleet_state.live.endpoints.values()))
        queued = separated(sum(fleet_state.live.queues.values()))
    return [
        {
            "title": "Ready endpoints",
            "value": f"{ready} of {total}",
            "alarming": total > ready == 0,
        },
        {"title": "Requests in flight", "value": running},
        {"title": "Queued requests", "value": queued},
        {"title": "Gateway workers", "value": workers, "alarming": workers == "0"},
    ]
