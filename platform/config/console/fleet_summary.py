"""A summary of the fleet for the dashboard."""

from collections.abc import Mapping, Sequence
from typing import Any

from inference.errors import FleetUnreadable
from inference.models import ModelEndpoint, ModelPool
from inference.monitoring.fleet_status import FleetLive, read_fleet
from kernel.admin.formatting import separated

MAX_LISTED_POOLS = 8
UNKNOWN = "-"
READY = ModelEndpoint.State.READY

Endpoints = Sequence[tuple[str, str]]
"""Public id and state of each endpoint."""


def summarise_fleet() -> dict[str, Any]:
    """Return pools with requests, failing ones first. Needs two queries and one Redis call."""
    pools: dict[str, list[tuple[str, str]]] = {
        name: [] for name in ModelPool.objects.values_list("name", flat=True)
    }
    rows = ModelEndpoint.objects.order_by().values_list("pool__name", "public_id", "state")
    for pool, endpoint, state in rows:
        pools.setdefault(pool, []).append((endpoint, state))
    live, is_live = read_live()
    ordered = sorted(pools, key=lambda name: (ready_in(pools[name]) > 0, name))
    every = [endpoint for endpoints in pools.values() for endpoint in endpoints]
    return {
        "pools": [summarise_pool(name, pools[name], live) for name in ordered[:MAX_LISTED_POOLS]],
        "more": max(0, len(pools) - MAX_LISTED_POOLS),
        "is_live": is_live,
        "ready": f"{ready_in(every)} of {len(every)}",
        "in_flight": in_flight(every, live),
        "queue": separated(sum(live.queues.values())) if live else UNKNOWN,
    }


def read_live() -> tuple[FleetLive | None, bool]:
    """Return the reports of gateways, if any, and whether Redis is available."""
    try:
        live = read_fleet()
    except FleetUnreadable:
        return None, False
    return (live if live.workers else None), True


def summarise_pool(name: str, endpoints: Endpoints, live: FleetLive | None) -> Mapping[str, str]:
    ready = ready_in(endpoints)
    colour = "success" if ready == len(endpoints) else "warning"
    return {
        "name": name,
        "ready": f"{ready} of {len(endpoints)}",
        "colour": colour if ready else "danger",
        "in_flight": in_flight(endpoints, live),
        "queue": separated(live.queues.get(name, 0)) if live else UNKNOWN,
    }


def ready_in(endpoints: Endpoints) -> int:
    return sum(state == READY for _, state in endpoints)


def in_flight(endpoints: Endpoints, live: FleetLive | None) -> str:
    if live is None:
        return UNKNOWN
    reports = (live.endpoints.get(endpoint) for endpoint, _ in endpoints)
    return separated(sum(each.in_flight for each in reports if each))
