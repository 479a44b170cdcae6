"""The page of the fleet: every pool with its endpoints, refreshed while it is open."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from inference.admin.join_token import command_for
from inference.admin.pages.fleet_view import UNKNOWN, PoolView, Seen, view_pool
from inference.admin.route_words import routes_by_pool
from inference.errors import FleetUnreadable
from inference.models import ModelEndpoint, ModelPool
from inference.monitoring.fleet_status import FleetLive, Sample, read_fleet, read_history
from kernel.admin.formatting import separated

HTMX = "HX-Request"
SHOWN = 100
"""Endpoints on one page, about: what it costs is bounded."""
SHOWN_OF_EACH = 20
"""Of one pool on the page of all, at most."""
MAX_CHARTED_ENDPOINTS = 60
"""Endpoints with charts on one page."""
NO_TOKEN = "JOIN_TOKEN"  # noqa: S105 - stands where a token is to be put


def fleet(request: HttpRequest, pool: str = "") -> HttpResponse:
    """Every pool, or the one of that name. Raises Http404 if there is none."""
    shown = fleet_shown(pool)
    if HTMX in request.headers:
        return TemplateResponse(request, "inference/fleet_live.html", shown)
    context = {**admin.site.each_context(request), "title": pool or "Fleet", **shown}
    return TemplateResponse(request, "inference/fleet.html", context)


def fleet_shown(name: str) -> dict[str, Any]:
    """What the part of the page that refreshes itself shows, in four queries."""
    pools = find_pools(name)
    if name and not pools:
        raise Http404
    most, place = (SHOWN, "pool") if name else (most_of_each(len(pools)), "fleet")
    endpoints = [endpoint for pool in pools for endpoint in endpoints_of(pool)[:most]]
    live, histories = read_live(endpoints[:MAX_CHARTED_ENDPOINTS])
    seen = Seen(now=timezone.now(), live=live, histories=histories, routes=routes_by_pool())
    views = tuple(draw(pool, seen, most=most, place=place) for pool in pools)
    return {"pools": views, "seen": seen, "name": name, "totals": totals_of(views, seen)}


def most_of_each(pools: int) -> int:
    """How many endpoints of a pool have a place beside those of the others."""
    return max(1, min(SHOWN_OF_EACH, SHOWN // max(1, pools)))


def find_pools(name: str) -> list[ModelPool]:
    # Credentials are not read: a lost encryption key must not take the page with it.
    rows = ModelEndpoint.objects.defer("credential").order_by("address")
    pools = ModelPool.objects.prefetch_related(Prefetch("endpoints", rows, to_attr="shown"))
    return list(pools.filter(name=name) if name else pools)


def endpoints_of(pool: Any) -> list[ModelEndpoint]:
    return list(pool.shown)


def draw(pool: ModelPool, seen: Seen, *, most: int, place: str) -> PoolView:
    routes = seen.routes.get(pool.pk, ())
    # Of `smollm2 (70 %)` the command wants the name.
    route = routes[0].partition(" ")[0] if routes else "ROUTE"
    command = command_for(engine=pool.engine, route=route, secret=NO_TOKEN)
    rows = endpoints_of(pool)
    return view_pool(pool, rows, seen, most=most, place=place, command=command)


def read_live(
    endpoints: Sequence[ModelEndpoint],
) -> tuple[FleetLive | None, Mapping[str, Sequence[Sample]]]:
    """What Redis has; None and nothing while it is away."""
    ids = [endpoint.public_id for endpoint in endpoints]
    try:
        return read_fleet(), read_history(ids, now=timezone.now().timestamp())
    except FleetUnreadable:
        return None, {}


def totals_of(views: Sequence[PoolView], seen: Seen) -> list[dict[str, Any]]:
    """The cards above the pools."""
    ready, total = sum(view.ready for view in views), sum(view.total for view in views)
    running = queued = workers = UNKNOWN
    if seen.live is not None:
        workers = separated(seen.live.workers)
    if seen.live is not None and seen.live.workers:
        running = separated(sum(each.in_flight for each in seen.live.endpoints.values()))
        queued = separated(sum(seen.live.queues.values()))
    return [
        {
            "title": "Ready endpoints",
            "value": f"{ready} of {total}",
            "alarming": total > ready == 0,
        },
        {"title": "Requests in flight", "value": running},
        {"title": "Waiting for a turn", "value": queued},
        {"title": "Gateway workers", "value": workers, "alarming": workers == "0"},
    ]
