"""Collects the readings of each pool.

The loads of engines are in PostgreSQL, those of gateways in Redis. A reading that is missing or too
old is not known, and never scales in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from inference.errors import FleetUnreadable
from inference.models import ModelEndpoint, ModelPool
from inference.models.pool import EngineKind
from inference.monitoring.fleet_status import EndpointLive, FleetLive, read_fleet
from inference.scaling.decision.types import Observation, Reading

State = ModelEndpoint.State
FRESH_SECONDS = 45.0
"""Maximum age of the load of an engine: a few heartbeats or probes."""
DEMAND_SECONDS = 60.0
"""Seconds for which a request to an empty pool counts as demand: its client retries by then."""
LOAD_REPORTING_ENGINES = {EngineKind.VLLM, EngineKind.LLAMACPP}
"""Engines whose load probes can read."""
NO_REDIS = "Redis does not answer"
NO_GATEWAY = "no gateway has reported recently"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointFacts:
    """The row of one endpoint."""

    public_id: str
    address: str
    state: str
    running: int = 0
    waiting: int = 0
    kv_cache: float | None = None
    """Per cent."""
    reported_at: float | None = None
    """Time of the last report in seconds since 1970; None: never."""
    reports_load: bool = True
    """Whether its engine reports its load."""


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
    """The counters that the next evaluation compares."""

    at: float = 0.0
    requests: int | None = None
    """Requests to the pool since the gateways started."""
    idle_since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolObservation:
    """The observation of a pool, with the counters for the next one."""

    observation: Observation
    counted: Counted
    states: Mapping[str, int] = field(default_factory=dict)
    least_loaded: tuple[str, ...] = ()
    """Addresses of ready endpoints, the least loaded first."""


def collect_pools() -> list[PoolFacts]:
    """Return every pool with its endpoints."""
    rows = ModelEndpoint.objects.exclude(state=State.EXPIRED).order_by("pk").values()
    found: dict[int, list[EndpointFacts]] = {}
    engines = dict(ModelPool.objects.values_list("pk", "engine"))
    columns = ("pool_id", "public_id", "address", "state", "running", "waiting", "kv_cache_used")
    for row in rows.values(*columns, "registered", "heartbeat_at", "probed_at"):
        reports_load = row["registered"] or engines.get(row["pool_id"]) in LOAD_REPORTING_ENGINES
        facts = endpoint_facts(row, reports_load=reports_load)
        found.setdefault(row["pool_id"], []).append(facts)
    pools = ModelPool.objects.values_list("pk", "name")
    return [
        PoolFacts(pool_id=pk, name=name, endpoints=tuple(found.get(pk, ()))) for pk, name in pools
    ]


def endpoint_facts(row: Mapping[str, Any], *, reports_load: bool) -> EndpointFacts:
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
        reports_load=reports_load,
    )


def read_live() -> FleetLive | None:
    """Return the state of the gateways; None while Redis is unavailable."""
    try:
        return read_fleet()
    except FleetUnreadable:
        return None


def observe_pool(
    facts: PoolFacts,
    *,
    live: FleetLive | None,
    before: Counted,
    now: float,
    slot_at: float,
    replicas: int | None = None,
) -> PoolObservation:
    """Observe one pool at `now`, in the slot that started at `slot_at`.

    `replicas` is the number that its actuator reports; None: the number of its endpoints.
    """
    there = facts.in_state(State.READY, State.UNHEALTHY)
    ready = facts.in_state(State.READY)
    requests = requests_of(there, live)
    arrived = increase(before.requests, requests)
    wanted = is_wanted(facts, live, now=now)
    readings = {
        **gateway_readings(ready, live, arrived=arrived, seconds=now - before.at),
        "waiting": waiting_of(facts.name, ready, live, now=now),
        "kv_cache": cache_of(ready, now=now),
    }
    idle = is_idle(readings, arrived=arrived, is_wanted=wanted)
    idle_since = (before.idle_since or slot_at) if idle else None
    observation = Observation(
        now=slot_at,
        replicas=len(there) if replicas is None else replicas,
        ready=len(ready),
        readings=readings,
        idle_since=idle_since,
        is_wanted=wanted,
    )
    return PoolObservation(
        observation=observation,
        counted=Counted(at=now, requests=requests, idle_since=idle_since),
        states={str(state): len(facts.in_state(state)) for state in State if state != "expired"},
        least_loaded=tuple(each.address for each in sorted(ready, key=lambda e: load_of(e, live))),
    )


def with_queries(
    pool_observation: PoolObservation, answers: Mapping[str, Reading]
) -> PoolObservation:
    """Return the observation with the readings from Prometheus added."""
    readings = {**pool_observation.observation.readings, **answers}
    return replace(
        pool_observation, observation=replace(pool_observation.observation, readings=readings)
    )


def gateway_outage(live: FleetLive | None) -> str:
    """Return why the state of the gateways is not known; empty if it is known."""
    if live is None:
        return NO_REDIS
    return "" if live.workers else NO_GATEWAY


def live_endpoint(endpoint: EndpointFacts, live: FleetLive | None) -> EndpointLive:
    found = live.endpoints.get(endpoint.public_id) if live else None
    return found or EndpointLive()


def load_of(endpoint: EndpointFacts, live: FleetLive | None) -> tuple[int, int]:
    in_flight = live_endpoint(endpoint, live).in_flight
    return max(in_flight, endpoint.running + endpoint.waiting), in_flight


def requests_of(endpoints: Sequence[EndpointFacts], live: FleetLive | None) -> int | None:
    if gateway_outage(live):
        return None
    return sum(live_endpoint(each, live).requests for each in endpoints)


def increase(before: int | None, after: int | None) -> int | None:
    """Return the requests since the last evaluation; None if the sum fell.

    It falls when a gateway or an endpoint is gone.
    """
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
    """Return the readings that only gateways report."""
    outage = gateway_outage(live)
    if outage:
        missing = Reading(value=None, note=outage)
        return {"in_flight": missing, "request_rate": missing, "ttft_p95": missing}
    reports = [live_endpoint(each, live) for each in ready]
    in_flight = sum(each.in_flight for each in reports)
    rate = None if arrived is None or seconds <= 0 else arrived / seconds
    times = [each.ttft_p95_ms for each in reports if each.ttft_p95_ms is not None]
    # Times from before the pool became idle do not count.
    slow = 0.0 if not in_flight and arrived == 0 else sum(times) / len(times) if times else None
    note = "no recent request was measured"
    return {
        "in_flight": Reading(value=in_flight, reporting=len(ready)),
        "request_rate": Reading(
            value=rate, reporting=len(ready), note="a gateway started or stopped"
        ),
        "ttft_p95": Reading(value=slow, reporting=len(times) or len(ready), note=note),
    }


def waiting_of(
    pool: str, ready: Sequence[EndpointFacts], live: FleetLive | None, *, now: float
) -> Reading:
    """Return the requests in the queues of the engines and of the pool."""
    fresh = [each for each in ready if not each.reports_load or is_fresh(each, now=now)]
    in_engines = sum(each.waiting for each in fresh)
    outage = gateway_outage(live)
    if outage and not in_engines:
        return Reading(value=None, note=outage)
    queued = live.queues.get(pool, 0) if live else 0
    is_part = bool(outage) or len(fresh) < len(ready)
    return Reading(value=in_engines + queued, reporting=len(fresh), is_lower_bound=is_part)


def cache_of(ready: Sequence[EndpointFacts], *, now: float) -> Reading:
    reports = [e.kv_cache for e in ready if e.kv_cache is not None and is_fresh(e, now=now)]
    if not reports:
        return Reading(value=None, note="no engine has reported it recently")
    return Reading(value=sum(reports) / len(reports), reporting=len(reports))


def is_fresh(endpoint: EndpointFacts, *, now: float) -> bool:
    return endpoint.reported_at is not None and now - endpoint.reported_at <= FRESH_SECONDS


def is_wanted(facts: PoolFacts, live: FleetLive | None, *, now: float) -> bool:
    requested_at = live.demand.get(facts.name, 0.0) if live else 0.0
    return now - requested_at <= DEMAND_SECONDS


def is_idle(readings: Mapping[str, Reading], *, arrived: int | None, is_wanted: bool) -> bool:
    """Return whether the pool has no requests, as far as all readings are known."""
    nothing = all(readings[kind].value == 0 for kind in ("in_flight", "waiting"))
    return (
        nothing
        and not is_wanted
        and arrived in {0, None}
        and not readings["waiting"].is_lower_bound
    )
