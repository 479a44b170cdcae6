"""Simulates the decisions of a policy over a load, and the waits of its requests. Pure.

Requests are a fluid, not single ones: in each step of 15 seconds some arrive, the ready replicas
serve up to their capacity, and the rest waits in a queue. A new replica is ready after the start-up
time.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from inference.scaling.decision.decide import decide, with_change
from inference.scaling.decision.types import EPSILON, Observation, Reading, Rules, ScalingHistory

STEP_SECONDS = 15.0
"""Length of one step; the same as a slot of the evaluation."""
MAX_CHART_POINTS = 240
"""Maximum number of points in a chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The capacity and the start-up time of one replica."""

    requests_per_second: float
    slots: float
    """Maximum number of concurrent requests."""
    start_seconds: float = 60.0
    first_token_ms: float = 200.0
    """Time to first token without a queue."""

    @property
    def request_seconds(self) -> float:
        """Duration of a request without its wait."""
        return self.slots / self.requests_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The load in one step, and the recorded replicas."""

    at: float
    """End of the step in seconds since 1970: an observation covers the time before it."""
    arrivals: float
    """Requests per second."""
    replicas: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    """CPU, memory and GPU of the recorded replicas in per cent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of the chart: an interval of the rehearsal."""

    at: float
    arrivals: float
    replicas: float
    ready: float
    recorded_replicas: float | None
    wait: float
    """Longest wait in the interval, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The result of a rehearsal. Waits are in seconds; `recorded_…` is None without records."""

    hours: float
    requests: float
    replica_hours: float
    recorded_replica_hours: float | None
    cost: float
    recorded_cost: float | None
    changes: int
    peak_replicas: int
    wait_p50: float
    wait_p95: float
    wait_max: float
    points: tuple[Point, ...] = ()


@dataclass(slots=True)
class SimulatedPool:
    """The changing state of the simulated pool."""

    replicas: int
    ready: int
    step: float = STEP_SECONDS
    backlog: float = 0.0
    starting: deque[tuple[float, int]] = field(default_factory=deque)
    """Times at which starting replicas become ready, and their numbers."""
    idle_since: float | None = None
    in_flight: float = 0.0
    served: float = 0.0
    """Requests per second."""
    wait: float = 0.0

    def scale(self, wanted: int, *, ready_at: float) -> None:
        """Change the number of replicas; replicas that are still starting are removed first."""
        change = wanted - self.replicas
        self.replicas = wanted
        if change > 0:
            self.starting.append((ready_at, change))
        while change < 0 and self.starting:
            at, count = self.starting.pop()
            left = count + change
            change = min(0, left)
            if left > 0:
                self.starting.append((at, left))
        self.ready = min(self.ready, wanted)

    def add_ready(self, moment: Moment) -> float:
        """Add the replicas that became ready, and return the replica-seconds of this step.

        A new replica counts from the time at which it became ready.
        """
        seconds = self.ready * self.step
        while self.starting and self.starting[0][0] <= moment.at:
            ready_at, count = self.starting.popleft()
            self.ready += count
            seconds += count * min(self.step, moment.at - ready_at)
        return seconds

    def serve(self, moment: Moment, capacity: Capacity) -> None:
        """Serve the requests of one step."""
        replica_seconds = self.add_ready(moment)
        power = self.ready * capacity.requests_per_second
        waiting = self.backlog + moment.arrivals * self.step
        served = min(waiting, replica_seconds * capacity.requests_per_second)
        self.backlog = waiting - served
        self.served = served / self.step
        # The wait as estimated now. Without a ready replica: until the next one is ready.
        until = self.starting[0][0] - moment.at if self.starting else capacity.start_seconds
        self.wait = self.backlog / power if power else until if waiting else 0.0
        full = self.ready * capacity.slots
        busy = full if self.backlog else self.served * capacity.request_seconds
        self.in_flight = min(full, busy)


@dataclass(slots=True, kw_only=True)
class Timeline:
    """The states of the pool, step by step."""

    step: float
    replicas: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    """Requests in each step."""
    backlog: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """Waits as estimated at the end of each step, in seconds."""

    def note(self, pool: SimulatedPool) -> None:
        self.replicas.append(pool.replicas)
        self.ready.append(pool.ready)
        self.served.append(pool.served * self.step)
        self.backlog.append(pool.backlog)
        self.waits.append(pool.wait)

    def final_waits(self) -> list[float]:
        """Return the actual wait of the last request of each step, in seconds.

        It ends when all requests before it are served, also by replicas that were added later. If
        the rehearsal ends before, the wait is the estimate.
        """
        done = list(accumulate(self.served))
        found, reached = [], 0
        for number, behind in enumerate(self.backlog):
            until = done[number] + behind
            reached = max(reached, number)
            while reached < len(done) and done[reached] < until - EPSILON:
                reached += 1
            if reached == len(done):
                found.append(self.waits[number])
            elif reached == number:
                found.append(0.0)
            else:
                late = 1 - (done[reached] - until) / self.served[reached]
                found.append((reached - number - 1 + late) * self.step)
        return found


RulesAt = Callable[[float], Rules]
"""The policy's rules at a time in seconds since 1970: schedules change its bounds."""


def rehearse(
    rules_at: RulesAt,
    moments: Sequence[Moment],
    *,
    capacity: Capacity,
    replica_cost: float = 0.0,
    initial_replicas: int | None = None,
    step: float = STEP_SECONDS,
) -> Rehearsal:
    """Simulate `moments`, which are `step` seconds apart. `replica_cost` is per hour."""
    if not moments:
        return empty_rehearsal()
    initial_replicas = (
        initial_replicas if initial_replicas is not None else round(moments[0].replicas or 1)
    )
    pool = SimulatedPool(replicas=initial_replicas, ready=initial_replicas, step=step)
    history, changes = ScalingHistory(), 0
    timeline = Timeline(step=step)
    for moment in moments:
        pool.serve(moment, capacity)
        timeline.note(pool)
        recommendation = decide(rules_at(moment.at), observe(pool, moment, capacity), history)
        history = recommendation.history
        if recommendation.desired != pool.replicas:
            changes += 1
            history = with_change(history, recommendation.desired - pool.replicas, now=moment.at)
            pool.scale(recommendation.desired, ready_at=moment.at + capacity.start_seconds)
    return summarize(moments, timeline, changes=changes, replica_cost=replica_cost)


def observe(pool: SimulatedPool, moment: Moment, capacity: Capacity) -> Observation:
    """Return the observation that the simulated pool would give."""
    is_quiet = not pool.backlog and not pool.in_flight
    pool.idle_since = (pool.idle_since or moment.at) if is_quiet else None
    reporting = max(1, pool.ready)
    full = 100 * pool.in_flight / (reporting * capacity.slots)
    values = {
        "waiting": pool.backlog,
        "in_flight": pool.in_flight,
        "request_rate": pool.served,
        "ttft_p95": 1000 * pool.wait + capacity.first_token_ms if pool.in_flight else 0.0,
        "kv_cache": full,
    }
    readings = {kind: Reading(value=value, reporting=reporting) for kind, value in values.items()}
    for kind, share in moment.shares.items():
        # The recorded CPU and GPU load is divided among the simulated replicas; the memory of a
        # replica does not depend on their number.
        work = 1.0 if kind == "memory" else (moment.replicas or reporting) / reporting
        readings[kind] = Reading(value=min(100.0, share * work), reporting=reporting)
    return Observation(
        now=moment.at,
        replicas=pool.replicas,
        ready=pool.ready,
        readings=readings,
        idle_since=pool.idle_since,
        is_wanted=pool.ready == 0 and pool.backlog > 0,
    )


def summarize(
    moments: Sequence[Moment], timeline: Timeline, *, changes: int, replica_cost: float
) -> Rehearsal:
    waits, step = timeline.final_waits(), timeline.step / 3600
    hours = sum(timeline.replicas) * step
    recorded_replicas = [moment.replicas for moment in moments if moment.replicas is not None]
    hours_then = sum(recorded_replicas) * step if len(recorded_replicas) == len(moments) else None
    p50, p95 = quantiles(waits, [moment.arrivals for moment in moments], at=(0.5, 0.95))
    return Rehearsal(
        hours=len(moments) * step,
        requests=sum(moment.arrivals for moment in moments) * timeline.step,
        replica_hours=hours,
        recorded_replica_hours=hours_then,
        cost=hours * replica_cost,
        recorded_cost=None if hours_then is None else hours_then * replica_cost,
        changes=changes,
        peak_replicas=max(timeline.replicas),
        wait_p50=p50,
        wait_p95=p95,
        wait_max=max(waits),
        points=points_of(moments, timeline, waits),
    )


def empty_rehearsal() -> Rehearsal:
    return Rehearsal(
        hours=0,
        requests=0,
        replica_hours=0,
        recorded_replica_hours=None,
        cost=0,
        recorded_cost=None,
        changes=0,
        peak_replicas=0,
        wait_p50=0,
        wait_p95=0,
        wait_max=0,
    )


def quantiles(
    values: Sequence[float], weights: Sequence[float], *, at: Sequence[float]
) -> list[float]:
    """Return the weighted quantiles of `values`; 0 if all weights are 0."""
    pairs = sorted(zip(values, weights, strict=True))
    sums = list(accumulate(weight for _, weight in pairs))
    if not sums or not sums[-1]:
        return [0.0 for _ in at]
    return [pairs[min(bisect_left(sums, share * sums[-1]), len(pairs) - 1)][0] for share in at]


def points_of(
    moments: Sequence[Moment], timeline: Timeline, waits: Sequence[float]
) -> tuple[Point, ...]:
    """Return at most MAX_CHART_POINTS means; waits are maxima, so that no peak is hidden."""
    size = max(1, -(-len(moments) // MAX_CHART_POINTS))
    points = []
    for start in range(0, len(moments), size):
        part = slice(start, start + size)
        count = len(moments[part])
        recorded_replicas = [each.replicas for each in moments[part] if each.replicas is not None]
        points.append(
            Point(
                at=moments[start].at,
                arrivals=sum(each.arrivals for each in moments[part]) / count,
                replicas=sum(timeline.replicas[part]) / count,
                ready=sum(timeline.ready[part]) / count,
                recorded_replicas=sum(recorded_replicas) / len(recorded_replicas)
                if recorded_replicas
                else None,
                wait=max(waits[part]),
            )
        )
    return tuple(points)


def oracle_hours(moments: Sequence[Moment], *, capacity: Capacity, min_replicas: int = 1) -> float:
    """Return the replica-hours with perfect knowledge of the load.

    No request waits, and there is no replica that is not needed.
    """
    power = capacity.requests_per_second
    needed = (max(min_replicas, -int(-moment.arrivals // power)) for moment in moments)
    return sum(needed) * STEP_SECONDS / 3600
