"""What is known of each pool right now, as the readings that policies go by.

Engines told PostgreSQL of their load, gateways told Redis. Whatever one of them did not tell, or
too long ago, is missing, which never takes a replica away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from inference.errors import FleetUnreadable
from inference.models import ModelEndpoint, ModelPool
from inference.models.pool import Engine
from inference.monitoring.fleet_status import EndpointLive, FleetLive, read_fleet
from inference.scaling.decision.types import Observation, Reading

State = ModelEndpoint.State
FRESH_SECONDS = 45.0
"""For which an engine's word is believed: a few heartbeats or probes."""
DEMAND_SECONDS = 60.0
"""For which a request that met an empty pool counts as demand: its client comes back by then."""
TALKATIVE = {Engine.VLLM, Engine.LLAMACPP}
"""Engines that tell their load also when only probes ask them."""
NO_REDIS = "Redis does not answer"
NO_GATEWAY = "no gateway has reported lately"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """One endpoint of a pool, as the tables have it."""

    public_id: str
    address: str
    state: str
    running: int = 0
    waiting: int = 0
    kv_cache: float | None = None
    """Per cent."""
    reported_at: float | None = None
    """Seconds since 1970; None: never."""
    is_talkative: bool = True
    """Its engine tells its load; of another one nothing is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """A pool with its endpoints."""

    pool_id: int
    name: str
    endpoints: tuple[EndpointFacts, ...] = ()

    def in_state(self, *states: str) -> tuple[EndpointFacts, ...]:
        return tuple(each for each in self.endpoints if each.state in states)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What the next look needs of this one."""

    at: float = 0.0
    requests: int | None = None
    """Sent to the pool since the gateways began."""
    idle_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolObservation:
    """A pool as it was seen, and what to remember of that."""

    seen: Observation
    counted: Counted
    states: Mapping[str, int] = field(default_factory=dict)
    idlest: tuple[str, ...] = ()
    """Addresses, the one with least to do first."""


def collect_pools() -> list[PoolFacts]:
    """Every pool with its endpoints, in two queries."""
    rows = ModelEndpoint.objects.exclude(state=State.EXPIRED).order_by("pk").values()
    found: dict[int, list[EndpointFacts]] = {}
    engines = dict(ModelPool.objects.values_list("pk", "engine"))
    columns = ("pool_id", "public_id", "address", "state", "running", "waiting", "kv_cache_used")
    for row in rows.values(*columns, "registered", "heartbeat_at", "probed_at"):
        talkative = row["registered"] or engines.get(row["pool_id"]) in TALKATIVE
        facts = endpoint_facts(row, is_talkative=talkative)
        found.setdefault(row["pool_id"], []).append(facts)
    pools = ModelPool.objects.values_list("pk", "name")
    return [
        PoolFacts(pool_id=pk, name=name, endpoints=tuple(found.get(pk, ()))) for pk, name in pools
    ]


def endpoint_facts(row: Mapping[str, Any], *, is_talkative: bool) -> EndpointFacts:
    reports: datetime | None = row["heartbeat_at"] if row["registered"] else row["probed_at"]
    cache = row["kv_cache_used"]
    return EndpointFacts(
        public_id=row["public_id"],
        address=row["address"],
        state=row["state"],
        running=row["running"],
        waiting=row["waiting"],
        kv_cache=None if cache is None else 100 * cache,
        reported_at=reports.timestamp() if reports else None,
        is_talkative=is_talkative,
    )


def read_live() -> FleetLive | None:
    """What gateways tell; None while Redis is away."""
    try:
        return read_fleet()
    except FleetUnreadable:
        return None


def look_at(
    facts: PoolFacts,
    *,
    live: FleetLive | None,
    before: Counted,
    now: float,
    slot_at: float,
    replicas: int | None = None,
) -> PoolObservation:
    """One pool, `now`, in the slot that began at `slot_at`. `replicas` is what its actuator says;
    None: as many as there are endpoints.
    """
    there = facts.in_state(State.READY, State.UNHEALTHY)
    ready = facts.in_state(State.READY)
    requests = requests_of(there, live)
    arrived = grown(before.requests, requests)
    wanted = is_wanted(facts, live, now=now)
    readings = {
        **gateway_readings(ready, live, arrived=arrived, seconds=now - before.at),
        "waiting": waiting_of(facts.name, ready, live, now=now),
        "kv_cache": cache_of(ready, now=now),
    }
    is_quiet = quiet(readings, arrived=arrived, is_wanted=wanted)
    idle_since = (before.idle_since or slot_at) if is_quiet else None
    seen = Observation(
        now=slot_at,
        replicas=len(there) if replicas is None else replicas,
        ready=len(ready),
        readings=readings,
        idle_since=idle_since,
        is_wanted=wanted,
    )
    return PoolObservation(
        seen=seen,
        counted=Counted(at=now, requests=requests, idle_since=idle_since),
        states={str(state): len(facts.in_state(state)) for state in State if state != "expired"},
        idlest=tuple(each.address for each in sorted(ready, key=lambda e: busyness(e, live))),
    )


def with_queries(look: PoolObservation, answers: Mapping[str, Reading]) -> PoolObservation:
    """The same, with what Prometheus answered."""
    readings = {**look.seen.readings, **answers}
    return replace(look, seen=replace(look.seen, readings=readings))


def gateway_outage(live: FleetLive | None) -> str:
    """Why nothing is known of the gateways; empty if they tell."""
    if live is None:
        return NO_REDIS
    return "" if live.workers else NO_GATEWAY


def live_endpoint(endpoint: EndpointFacts, live: FleetLive | None) -> EndpointLive:
    found = live.endpoints.get(endpoint.public_id) if live else None
    return found or EndpointLive()


def busyness(endpoint: EndpointFacts, live: FleetLive | None) -> tuple[int, int]:
    in_flight = live_endpoint(endpoint, live).in_flight
    return max(in_flight, endpoint.running + endpoint.waiting), in_flight


def requests_of(endpoints: Sequence[EndpointFacts], live: FleetLive | None) -> int | None:
    if gateway_outage(live):
        return None
    return sum(live_endpoint(each, live).requests for each in endpoints)


def grown(before: int | None, after: int | None) -> int | None:
    """Requests since the last look. Unknown where the sum fell: a gateway or an endpoint left."""
    if before is None or after is None or after < before:
        return None
    return after - before


def gateway_readings(
    ready: Sequence[EndpointFacts],
    live: FleetLive | None,
    *,
    arrived: int | None,
    seconds: float,
) -> dict[str, Reading]:
    """What only gateways can tell."""
    silence = gateway_outage(live)
    if silence:
        missing = Reading(value=None, note=silence)
        return {"in_flight": missing, "request_rate": missing, "ttft_p95": missing}
    reports = [live_endpoint(each, live) for each in ready]
    in_flight = sum(each.in_flight for each in reports)
    rate = None if arrived is None or seconds <= 0 else arrived / seconds
    times = [each.ttft_p95_ms for each in reports if each.ttft_p95_ms is not None]
    # What was measured before the last request left is no sign of trouble now.
    slow = 0.0 if not in_flight and arrived == 0 else sum(times) / len(times) if times else None
    note = "no request was measured lately"
    return {
        "in_flight": Reading(value=in_flight, telling=len(ready)),
        "request_rate": Reading(value=rate, telling=len(ready), note="a gateway came or went"),
        "ttft_p95": Reading(value=slow, telling=len(times) or len(ready), note=note),
    }


def waiting_of(
    pool: str, ready: Sequence[EndpointFacts], live: FleetLive | None, *, now: float
) -> Reading:
    """In the engines' queues, and in front of the pool."""
    fresh = [each for each in ready if not each.is_talkative or is_fresh(each, now=now)]
    in_engines = sum(each.waiting for each in fresh)
    silence = gateway_outage(live)
    if silence and not in_engines:
        return Reading(value=None, note=silence)
    queued = live.queues.get(pool, 0) if live else 0
    is_part = bool(silence) or len(fresh) < len(ready)
    return Reading(value=in_engines + queued, telling=len(fresh), is_least=is_part)


def cache_of(ready: Sequence[EndpointFacts], *, now: float) -> Reading:
    reports = [e.kv_cache for e in ready if e.kv_cache is not None and is_fresh(e, now=now)]
    if not reports:
        return Reading(value=None, note="no engine has told it lately")
    return Reading(value=sum(reports) / len(reports), telling=len(reports))


def is_fresh(endpoint: EndpointFacts, *, now: float) -> bool:
    return endpoint.reported_at is not None and now - endpoint.reported_at <= FRESH_SECONDS


def is_wanted(facts: PoolFacts, live: FleetLive | None, *, now: float) -> bool:
    asked = live.demand.get(facts.name, 0.0) if live else 0.0
    return now - asked <= DEMAND_SECONDS


def quiet(readings: Mapping[str, Reading], *, arrived: int | None, is_wanted: bool) -> bool:
    """Whether surely nobody uses the pool."""
    nothing = all(readings[kind].value == 0 for kind in ("in_flight", "waiting"))
    return nothing and not is_wanted and arrived in {0, None} and not readings["waiting"].is_least
