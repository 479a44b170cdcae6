"""The load balancer of a worker: the state of every endpoint, and the choice among them."""

import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inference.errors import NoEndpointAvailable, Starting
from inference.fleet.circuit_breaker import MAX_OPEN_SECONDS
from inference.fleet.endpoint_state import (
    UNKNOWN_LOAD,
    CandidateSet,
    EndpointState,
    ExcludedEndpoints,
    ReportedLoad,
)
from inference.fleet.in_flight import InFlight, Lease
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Endpoint, Pool
from inference.fleet.strategies import STRATEGIES, least_requests
from kernel import metrics

log = logging.getLogger(__name__)

RETRY_SECONDS = 5.0
BUSY_SECONDS = 1.0
"""Seconds for which an overloaded engine gets no requests, if other endpoints can serve."""
STARTING_SECONDS = 10.0
REFUSED_SECONDS = 5.0
TTFT_DECAY = 0.98
"""Factor by which the time to first token of an idle endpoint decays at each tick."""
STATES = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(slots=True)
class PoolState:
    """The candidates of a pool, until something changes."""

    pool: Pool
    field: CandidateSet
    until: float
    """When the next breaker or pause ends, so that the candidates change."""
    excluded: ExcludedEndpoints = ()
    """Ids of the excluded endpoints, with the reasons."""
    is_out: bool = False
    """Whether no endpoint is expected to serve requests."""
    sequence: int = 0


@dataclass(slots=True)
class UnservedDemand:
    """Requests for a pool without endpoints: they start a pool that was scaled to zero."""

    requests: int = 0
    at: float = 0.0
    """Time of the last request, in seconds since 1970."""

    def count(self, now: float) -> None:
        self.requests += 1
        self.at = now


class EndpointBalancer:
    """Chooses endpoints, and tracks their load and failures."""

    def __init__(
        self,
        in_flight: InFlight,
        *,
        rng: random.Random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._in_flight = in_flight
        self._rng = rng
        self._clock = clock
        self._candidates: dict[str, EndpointState] = {}
        self._pools: dict[str, PoolState] = {}
        self._demand: dict[str, UnservedDemand] = {}

    def choose(self, pool: Pool, context: PickContext, *, visited: Iterable[str]) -> EndpointState:
        """Return the endpoint for a request, other than those in `visited`.

        Raises Starting if the pool has no endpoint, and NoEndpointAvailable if none is usable.
        """
        known = self._state_of(pool)
        field = known.field
        if visited:
            field = field.without(set(visited))
        if not field.candidates:
            if not known.field.candidates:
                self._demand.setdefault(pool.name, UnservedDemand()).count(self._clock())
            raise no_endpoint_error(pool)
        if len(field) == 1:
            return field.candidates[0]
        known.sequence += 1
        strategy = STRATEGIES.get(pool.strategy, least_requests)
        chosen = strategy(field, with_sequence(context, known.sequence), self._rng)
        if not chosen.is_full:
            return chosen
        free = [each for each in field.candidates if not each.is_full]
        # If all are full, the queue of an engine is better than a rejection.
        return least_requests(CandidateSet(free), context, self._rng) if free else chosen

    def excluded(self, pool: Pool) -> ExcludedEndpoints:
        """Return the excluded endpoints of a pool, with the reasons."""
        return self._state_of(pool).excluded

    def field(self, pool: Pool) -> CandidateSet:
        """Return the candidates of a pool."""
        return self._state_of(pool).field

    def is_out(self, pool: Pool) -> bool:
        """Return whether no endpoint of the pool is expected to serve requests."""
        return self._state_of(pool).is_out

    def _state_of(self, pool: Pool) -> PoolState:
        known = self._pools.get(pool.name)
        now = self._clock()
        if known is None or known.pool is not pool or now >= known.until:
            sequence = known.sequence if known else 0
            known = self._pools[pool.name] = self._refresh_states(pool, now, sequence)
        return known

    def _refresh_states(self, pool: Pool, now: float, sequence: int) -> PoolState:
        able = [self._candidate(each) for each in pool.endpoints if each.is_able]
        usable = [each for each in able if is_usable(each, now)]
        waits = [each.breaker.open_until for each in able if each.breaker.open_until]
        waits += [each.ejected_elsewhere_until for each in able]
        waits += [each.busy_until for each in able]
        waits += [each.failing_until for each in able]
        # If all are ejected, the cause is probably elsewhere: use all rather than none.
        chosen_from = usable or able
        ids = {each.endpoint.id for each in chosen_from}
        return PoolState(
            pool=pool,
            field=CandidateSet(chosen_from, places=[each.id for each in pool.endpoints]),
            excluded=tuple(
                (each.id, exclusion_reason(self._candidate(each), now))
                for each in pool.endpoints
                if each.id not in ids
            ),
            until=min((wait for wait in waits if wait > now), default=float("inf")),
            is_out=not any(each.failing_until <= now for each in usable),
            sequence=sequence,
        )

    def _candidate(self, endpoint: Endpoint) -> EndpointState:
        known = self._candidates.get(endpoint.id)
        if known is None:
            known = self._candidates[endpoint.id] = EndpointState(endpoint)
            known.recompute_scores()
        elif known.endpoint is not endpoint:
            known.endpoint = endpoint
            known.recompute_scores()
        return known

    def start_request(self, pool: Pool, candidate: EndpointState) -> Lease:
        """Count a request to the endpoint until the lease is released."""
        candidate.requests += 1
        if candidate.breaker.open_until is not None:
            candidate.breaker.record_start(self._clock())
            self._invalidate(pool)
        endpoint = candidate.endpoint.id
        return self._in_flight.lease(pool=pool.name, endpoint=endpoint, changed=candidate.count)

    def note_first_token(self, pool: Pool, candidate: EndpointState, *, seconds: float) -> None:
        """Record the time to first token of a response, in seconds."""
        candidate.record_ttft(seconds)
        if candidate.breaker.open_until is not None:
            candidate.breaker.record_first_token()
            self._changed(pool, candidate)
            log_recovery(pool, candidate)

    def note_success(self, pool: Pool, candidate: EndpointState) -> None:
        """Record a complete response. A started one proves little: the engine may fail later."""
        if candidate.breaker.failures:
            was_ejected = candidate.breaker.open_until is not None
            candidate.breaker.record_success()
            candidate.failing_until = 0.0
            self._changed(pool, candidate)
            if was_ejected:
                log_recovery(pool, candidate)

    def note_failure(self, pool: Pool, candidate: EndpointState) -> None:
        """Record a failure of the endpoint."""
        self._note_failure(pool, candidate, max_seconds=MAX_OPEN_SECONDS)

    def note_refused(self, pool: Pool, candidate: EndpointState) -> None:
        """Record a refused connection. A retry is cheap, so the ejection is short."""
        self._note_failure(pool, candidate, max_seconds=REFUSED_SECONDS)

    def _note_failure(self, pool: Pool, candidate: EndpointState, *, max_seconds: float) -> None:
        candidate.total_failures += 1
        now = self._clock()
        ejected = candidate.breaker.record_failure(
            now,
            after=pool.eject_after,
            seconds=pool.eject_seconds,
            max_seconds=max_seconds,
            may_open=self._may_eject(pool),
        )
        if ejected:
            self._changed(pool, candidate)
            log.warning(
                "fleet: endpoint ejected (pool=%s, endpoint=%s, failures=%d, seconds=%.0f)",
                *(pool.name, candidate.endpoint.id, candidate.breaker.failures),
                (candidate.breaker.open_until or now) - now,
            )
        elif candidate.breaker.failures >= pool.eject_after:
            candidate.failing_until = now + min(pool.eject_seconds, max_seconds)
            self._invalidate(pool)

    def note_overloaded(self, pool: Pool, candidate: EndpointState) -> None:
        """Record an overloaded response: prefer other endpoints for BUSY_SECONDS."""
        candidate.busy_until = self._clock() + BUSY_SECONDS
        candidate.breaker.record_neutral()
        self._invalidate(pool)

    def note_neutral(self, pool: Pool, candidate: EndpointState) -> None:
        """Record a request that ended because of the client, or of the request itself."""
        if candidate.breaker.trying:
            candidate.breaker.record_neutral()
            self._invalidate(pool)

    def _may_eject(self, pool: Pool) -> bool:
        """Return whether one more endpoint may be ejected: at most half of a pool."""
        able = [self._candidate(each) for each in pool.endpoints if each.is_able]
        out = sum(each.breaker.open_until is not None for each in able)
        return (out + 1) * 2 <= len(able)

    def _changed(self, pool: Pool, candidate: EndpointState) -> None:
        self._invalidate(pool)
        state = candidate.breaker.state(self._clock())
        series = metrics.series(metrics.breaker_state, pool.name, candidate.endpoint.id)
        series.set(STATES[state])

    def _invalidate(self, pool: Pool) -> None:
        known = self._pools.get(pool.name)
        if known is not None:
            known.until = 0.0

    def tick(self) -> None:
        """Advance the slow start of new endpoints, and decay old measurements. Twice a second."""
        now = self._clock()
        for known in self._pools.values():
            for candidate in known.field.candidates:
                slow_start_share = slow_start_share_of(candidate.endpoint, known.pool, now)
                if slow_start_share != candidate.slow_start_share:
                    candidate.slow_start_share = slow_start_share
                    candidate.recompute_scores()
                candidate.decay_ttft(TTFT_DECAY)

    def report(self) -> dict[str, Any]:
        """Return the state of each endpoint, for other workers and the console."""
        now = self._clock()
        return {
            name: {
                "in_flight": each.in_flight,
                "breaker": each.breaker.state(now),
                "ejected_until": each.breaker.open_until,
                "ttft_ms": milliseconds(each.ttft),
                "ttft_p50_ms": milliseconds(each.quantile(0.5)),
                "ttft_p95_ms": milliseconds(each.quantile(0.95)),
                "requests": each.requests,
                "failures": each.total_failures,
            }
            for name, each in self._candidates.items()
        }

    def demand(self) -> dict[str, dict[str, float]]:
        """Return the number of requests for pools without endpoints, by pool."""
        return {
            pool: {"requests": each.requests, "at": each.at} for pool, each in self._demand.items()
        }

    def apply_worker_reports(self, reports: Iterable[Mapping[str, Mapping[str, Any]]]) -> None:
        """Apply the reports of the other workers."""
        running: dict[str, int] = {}
        out: dict[str, float] = {}
        for report in reports:
            for name, worker_state in report.items():
                running[name] = running.get(name, 0) + int(worker_state["in_flight"])
                out[name] = max(out.get(name, 0.0), worker_state["ejected_until"] or 0.0)
        for name, candidate in self._candidates.items():
            elsewhere, until = running.get(name, 0), out.get(name, 0.0)
            if elsewhere != candidate.elsewhere:
                candidate.elsewhere = elsewhere
                candidate.recompute_scores()
            if until != candidate.ejected_elsewhere_until:
                candidate.ejected_elsewhere_until = until
                for known in self._pools.values():
                    known.until = 0.0

    def apply_engine_loads(self, loads: Mapping[str, ReportedLoad]) -> None:
        """Apply the reported loads of engines, by endpoint."""
        for name, candidate in self._candidates.items():
            load = loads.get(name, UNKNOWN_LOAD)
            if load is not candidate.engine_load:
                candidate.engine_load = load
                candidate.recompute_scores()

    def elsewhere(self, pool: str) -> int:
        """Return the number of running requests of the other workers in a pool."""
        known = self._pools.get(pool)
        endpoints = known.pool.endpoints if known else ()
        candidates = (self._candidates.get(each.id) for each in endpoints)
        return sum(each.elsewhere for each in candidates if each is not None)


def is_usable(candidate: EndpointState, now: float) -> bool:
    if candidate.endpoint.breaker_override == "closed":
        return True
    out_until = max(candidate.ejected_elsewhere_until, candidate.busy_until)
    return candidate.breaker.allows_request(now) and out_until <= now


def exclusion_reason(candidate: EndpointState, now: float) -> str:
    """Return the reason why an endpoint is excluded, as the ledger stores it."""
    endpoint = candidate.endpoint
    if endpoint.breaker_override == "open":
        return "forced_open"
    if not endpoint.is_able:
        return "not_ready"
    if candidate.breaker.state(now) == "half_open":
        return "half_open"
    return "busy" if candidate.busy_until > now else "ejected"


def no_endpoint_error(pool: Pool) -> NoEndpointAvailable | Starting:
    if not pool.endpoints:
        return Starting(retry_after=STARTING_SECONDS)
    return NoEndpointAvailable(retry_after=RETRY_SECONDS)


def with_sequence(context: PickContext, sequence: int) -> PickContext:
    return PickContext(sequence=sequence, affinity_key=context.affinity_key, prefix=context.prefix)


def slow_start_share_of(endpoint: Endpoint, pool: Pool, now: float) -> float:
    """Return the share of requests for a new endpoint. It grows linearly from 0.1 to 1."""
    if not pool.slow_start_seconds or not endpoint.ready_since:
        return 1.0
    return min(1.0, max(0.1, (now - endpoint.ready_since) / pool.slow_start_seconds))


def milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)


def log_recovery(pool: Pool, candidate: EndpointState) -> None:
    log.info(
        "fleet: endpoint serves again (pool=%s, endpoint=%s)", pool.name, candidate.endpoint.id
    )
