"""What this worker knows of every endpoint, and the choice among them."""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from inference.errors import NoEndpointAvailable, Starting
from inference.fleet.circuit_breaker import MAX_OPEN_SECONDS
from inference.fleet.endpoint_state import UNKNOWN_LOAD, CandidateSet, EndpointState, LeftOut, Load
from inference.fleet.in_flight import InFlight, Lease
from inference.fleet.pick_context import PickContext
from inference.fleet.snapshot import Endpoint, Pool
from inference.fleet.strategies import STRATEGIES, least_requests
from kernel import metrics

RETRY_SECONDS = 5.0
BUSY_SECONDS = 1.0
"""For which an engine that refused for want of room gets nothing, if others can."""
STARTING_SECONDS = 10.0
REFUSED_SECONDS = 5.0
COOLING = 0.98
"""By how much a time to first token is believed less each time nobody looked: twice a second."""
STATES = {"closed": 0, "half_open": 1, "open": 2}


@dataclass(slots=True)
class PoolState:
    """A pool as it was last looked at."""

    pool: Pool
    field: CandidateSet
    until: float
    """When a breaker lets somebody try again, so that the field must be made anew."""
    left_out: LeftOut = ()
    """The others, by their ids, and why they cannot be chosen."""
    is_out: bool = False
    """None of the endpoints is believed to work."""
    turn: int = 0


@dataclass(slots=True)
class Demand:
    """Requests for a pool in which nobody was: what wakes one that was scaled to zero."""

    requests: int = 0
    at: float = 0.0
    """When the last one came, in seconds since 1970."""

    def count(self, now: float) -> None:
        self.requests += 1
        self.at = now


class EndpointBalancer:
    """Candidates by endpoint, and the fields of pools that are made of them."""

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
        self._demand: dict[str, Demand] = {}

    def choose(self, pool: Pool, context: PickContext, *, visited: Iterable[str]) -> EndpointState:
        """The endpoint for a request; none of those that it has been to.

        Raises Starting where there is no endpoint at all, and NoEndpointAvailable where none may
        be used.
        """
        known = self._look_at(pool)
        field = known.field
        if visited:
            field = field.without(set(visited))
        if not field.candidates:
            if not known.field.candidates:
                self._demand.setdefault(pool.name, Demand()).count(self._clock())
            raise no_endpoint_error(pool)
        if len(field) == 1:
            return field.candidates[0]
        known.turn += 1
        strategy = STRATEGIES.get(pool.strategy, least_requests)
        chosen = strategy(field, with_turn(context, known.turn), self._rng)
        if not chosen.is_full:
            return chosen
        free = [each for each in field.candidates if not each.is_full]
        # Where all are full, an engine's own queue is better than a refusal.
        return least_requests(CandidateSet(free), context, self._rng) if free else chosen

    def left_out(self, pool: Pool) -> LeftOut:
        """Who may not be chosen in a pool right now, and why."""
        return self._look_at(pool).left_out

    def field(self, pool: Pool) -> CandidateSet:
        """Who may be chosen in a pool right now."""
        return self._look_at(pool).field

    def is_out(self, pool: Pool) -> bool:
        """Whether no endpoint of the pool is believed to take requests at the moment."""
        return self._look_at(pool).is_out

    def _look_at(self, pool: Pool) -> PoolState:
        known = self._pools.get(pool.name)
        now = self._clock()
        if known is None or known.pool is not pool or now >= known.until:
            turn = known.turn if known else 0
            known = self._pools[pool.name] = self._refresh_states(pool, now, turn)
        return known

    def _refresh_states(self, pool: Pool, now: float, turn: int) -> PoolState:
        able = [self._candidate(each) for each in pool.endpoints if each.is_able]
        usable = [each for each in able if may_be_used(each, now)]
        waits = [each.breaker.open_until for each in able if each.breaker.open_until]
        waits += [each.left_out_elsewhere_until for each in able]
        waits += [each.busy_until for each in able]
        waits += [each.failing_until for each in able]
        # If all are out, something else is wrong: using all is better than using none.
        chosen_from = usable or able
        ids = {each.endpoint.id for each in chosen_from}
        return PoolState(
            pool=pool,
            field=CandidateSet(chosen_from, places=[each.id for each in pool.endpoints]),
            left_out=tuple(
                (each.id, exclusion_reason(self._candidate(each), now))
                for each in pool.endpoints
                if each.id not in ids
            ),
            until=min((wait for wait in waits if wait > now), default=float("inf")),
            is_out=not any(each.failing_until <= now for each in usable),
            turn=turn,
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

    def begin(self, pool: Pool, candidate: EndpointState) -> Lease:
        """A request is sent there. It counts until the lease is released."""
        candidate.requests += 1
        if candidate.breaker.open_until is not None:
            candidate.breaker.began(self._clock())
            self._forget(pool)
        endpoint = candidate.endpoint.id
        return self._in_flight.lease(pool=pool.name, endpoint=endpoint, changed=candidate.count)

    def answered(self, pool: Pool, candidate: EndpointState, *, seconds: float) -> None:
        """The first part of its answer has come, so long after it was asked."""
        candidate.record_ttft(seconds)
        if candidate.breaker.open_until is not None:
            candidate.breaker.passed()
            self._changed(pool, candidate)

    def ended_well(self, pool: Pool, candidate: EndpointState) -> None:
        """It answered to the end. To have begun proves little: an engine may always break off."""
        if candidate.breaker.failures:
            candidate.breaker.succeeded()
            candidate.failing_until = 0.0
            self._changed(pool, candidate)

    def failed(self, pool: Pool, candidate: EndpointState) -> None:
        """It failed, and that was its own fault."""
        self._failed(pool, candidate, longest=MAX_OPEN_SECONDS)

    def refused(self, pool: Pool, candidate: EndpointState) -> None:
        """Nobody listens there: to ask again costs no caller anything, so it is asked soon."""
        self._failed(pool, candidate, longest=REFUSED_SECONDS)

    def _failed(self, pool: Pool, candidate: EndpointState, *, longest: float) -> None:
        candidate.total_failures += 1
        now = self._clock()
        ejected = candidate.breaker.failed(
            now,
            after=pool.eject_after,
            seconds=pool.eject_seconds,
            longest=longest,
            may_open=self._may_leave_out(pool),
        )
        if ejected:
            self._changed(pool, candidate)
        elif candidate.breaker.failures >= pool.eject_after:
            candidate.failing_until = now + min(pool.eject_seconds, longest)
            self._forget(pool)

    def note_overloaded(self, pool: Pool, candidate: EndpointState) -> None:
        """It has too much to do: no illness, but others come first for a moment."""
        candidate.busy_until = self._clock() + BUSY_SECONDS
        candidate.breaker.gave_up()
        self._forget(pool)

    def note_neutral(self, pool: Pool, candidate: EndpointState) -> None:
        """A request ended by somebody else's doing: the client's, or for what it asked."""
        if candidate.breaker.trying:
            candidate.breaker.gave_up()
            self._forget(pool)

    def _may_leave_out(self, pool: Pool) -> bool:
        """Never more than half of a pool is left out."""
        able = [self._candidate(each) for each in pool.endpoints if each.is_able]
        out = sum(each.breaker.open_until is not None for each in able)
        return (out + 1) * 2 <= len(able)

    def _changed(self, pool: Pool, candidate: EndpointState) -> None:
        self._forget(pool)
        state = candidate.breaker.state(self._clock())
        series = metrics.series(metrics.breaker_state, pool.name, candidate.endpoint.id)
        series.set(STATES[state])

    def _forget(self, pool: Pool) -> None:
        known = self._pools.get(pool.name)
        if known is not None:
            known.until = 0.0

    def look(self) -> None:
        """Twice a second: warm new endpoints up, and believe old measurements less."""
        now = self._clock()
        for known in self._pools.values():
            for candidate in known.field.candidates:
                warmth = warmth_of(candidate.endpoint, known.pool, now)
                if warmth != candidate.warmth:
                    candidate.warmth = warmth
                    candidate.recompute_scores()
                candidate.decay_ttft(COOLING)

    def report(self) -> dict[str, Any]:
        """What other workers and the console are told."""
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
        """What was asked in vain, by pool."""
        return {
            pool: {"requests": each.requests, "at": each.at} for pool, each in self._demand.items()
        }

    def hear(self, reports: Iterable[Mapping[str, Mapping[str, Any]]]) -> None:
        """What the other workers reported."""
        running: dict[str, int] = {}
        out: dict[str, float] = {}
        for report in reports:
            for name, said in report.items():
                running[name] = running.get(name, 0) + int(said["in_flight"])
                out[name] = max(out.get(name, 0.0), said["ejected_until"] or 0.0)
        for name, candidate in self._candidates.items():
            elsewhere, until = running.get(name, 0), out.get(name, 0.0)
            if elsewhere != candidate.elsewhere:
                candidate.elsewhere = elsewhere
                candidate.recompute_scores()
            if until != candidate.left_out_elsewhere_until:
                candidate.left_out_elsewhere_until = until
                for known in self._pools.values():
                    known.until = 0.0

    def apply_engine_loads(self, loads: Mapping[str, Load]) -> None:
        """What the engines told of themselves lately, by endpoint."""
        for name, candidate in self._candidates.items():
            load = loads.get(name, UNKNOWN_LOAD)
            if load is not candidate.engine_load:
                candidate.engine_load = load
                candidate.recompute_scores()

    def elsewhere(self, pool: str) -> int:
        """Requests that other workers run in the pool of this name."""
        known = self._pools.get(pool)
        endpoints = known.pool.endpoints if known else ()
        candidates = (self._candidates.get(each.id) for each in endpoints)
        return sum(each.elsewhere for each in candidates if each is not None)


def may_be_used(candidate: EndpointState, now: float) -> bool:
    if candidate.endpoint.forced == "closed":
        return True
    out_until = max(candidate.left_out_elsewhere_until, candidate.busy_until)
    return candidate.breaker.passes(now) and out_until <= now


def exclusion_reason(candidate: EndpointState, now: float) -> str:
    """The reason for which an endpoint is left out, in the ledger's words."""
    endpoint = candidate.endpoint
    if endpoint.forced == "open":
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


def with_turn(context: PickContext, turn: int) -> PickContext:
    return PickContext(turn=turn, affinity=context.affinity, prefix=context.prefix)


def warmth_of(endpoint: Endpoint, pool: Pool, now: float) -> float:
    """The share that a new endpoint gets: a tenth at first, growing evenly to the whole."""
    if not pool.slow_start_seconds or not endpoint.ready_since:
        return 1.0
    return min(1.0, max(0.1, (now - endpoint.ready_since) / pool.slow_start_seconds))


def milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
