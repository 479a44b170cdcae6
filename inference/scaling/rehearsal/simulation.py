"""What a policy would have done: its decisions over a load, and what requests would have met. Pure.

Requests are a stream, not single ones: in each quarter of a minute so many come, the replicas that
are ready serve what they can, and the rest waits for its turn. A replica that is ordered takes its
time to start.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from inference.scaling.decision.decide import decide, with_change
from inference.scaling.decision.types import EPSILON, Observation, Reading, Rules, ScalingHistory

SECONDS = 15.0
"""Of one step, as in life."""
DRAWN = 240
"""Points of a chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What one replica can do, and how long it takes to start."""

    requests_per_second: float
    slots: float
    """Requests that it works on at once when it is full."""
    start_seconds: float = 60.0
    first_token_ms: float = 200.0
    """With nobody in front."""

    @property
    def request_seconds(self) -> float:
        """How long a request is worked on."""
        return self.slots / self.requests_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The load in one step, and what there really was."""

    at: float
    """When the step ended, in seconds since 1970: a look knows what came before it."""
    arrivals: float
    """Requests a second."""
    replicas: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    """CPU, memory and GPU in per cent, of the replicas that there were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A stretch of the rehearsal, for a chart."""

    at: float
    arrivals: float
    replicas: float
    ready: float
    then: float | None
    wait: float
    """The longest in the stretch, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What came of it."""

    hours: float
    requests: float
    replica_hours: float
    replica_hours_then: float | None
    cost: float
    cost_then: float | None
    changes: int
    most: int
    wait_p50: float
    wait_p95: float
    wait_most: float
    """In seconds: how long requests waited for their turn."""
    points: tuple[Point, ...] = ()


@dataclass(slots=True)
class Pool:
    """The pool in the rehearsal, as it changes."""

    replicas: int
    ready: int
    step: float = SECONDS
    backlog: float = 0.0
    starting: deque[tuple[float, int]] = field(default_factory=deque)
    """When how many will be ready."""
    idle_since: float | None = None
    in_flight: float = 0.0
    served: float = 0.0
    """Requests a second."""
    wait: float = 0.0

    def scale(self, wanted: int, *, ready_at: float) -> None:
        """Those that still start are the first to go."""
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

    def welcome(self, moment: Moment) -> float:
        """Take in those that became ready. Returns for how long all replicas served in this step,
        together: each of the new ones from its own moment on.
        """
        seconds = self.ready * self.step
        while self.starting and self.starting[0][0] <= moment.at:
            ready_at, count = self.starting.popleft()
            self.ready += count
            seconds += count * min(self.step, moment.at - ready_at)
        return seconds

    def serve(self, moment: Moment, capacity: Capacity) -> None:
        """One step's requests."""
        replica_seconds = self.welcome(moment)
        power = self.ready * capacity.requests_per_second
        waiting = self.backlog + moment.arrivals * self.step
        served = min(waiting, replica_seconds * capacity.requests_per_second)
        self.backlog = waiting - served
        self.served = served / self.step
        # As far as anybody can know now. Without a replica: until one is there.
        until = self.starting[0][0] - moment.at if self.starting else capacity.start_seconds
        self.wait = self.backlog / power if power else until if waiting else 0.0
        full = self.ready * capacity.slots
        busy = full if self.backlog else self.served * capacity.request_seconds
        self.in_flight = min(full, busy)


@dataclass(slots=True, kw_only=True)
class Course:
    """What the pool was, step by step."""

    step: float
    replicas: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    served: list[float] = field(default_factory=list)
    """Requests in each step."""
    backlog: list[float] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    """As they looked to whoever came."""

    def note(self, pool: Pool) -> None:
        self.replicas.append(pool.replicas)
        self.ready.append(pool.ready)
        self.served.append(pool.served * self.step)
        self.backlog.append(pool.backlog)
        self.waits.append(pool.wait)

    def waited(self) -> list[float]:
        """How long the last one of each step waited in the end: until all in front of it were
        served, with the replicas that came meanwhile. Where the end is not known, as it looked.
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
"""The policy at a moment: its schedules change its bounds."""


def rehearse(
    rules_at: RulesAt,
    moments: Sequence[Moment],
    *,
    capacity: Capacity,
    replica_cost: float = 0.0,
    begins_with: int | None = None,
    step: float = SECONDS,
) -> Rehearsal:
    """Go through `moments`, which are `step` seconds apart. `replica_cost` is for an hour."""
    if not moments:
        return nothing()
    begins = begins_with if begins_with is not None else round(moments[0].replicas or 1)
    pool = Pool(replicas=begins, ready=begins, step=step)
    memory, changes = ScalingHistory(), 0
    course = Course(step=step)
    for moment in moments:
        pool.serve(moment, capacity)
        course.note(pool)
        verdict = decide(rules_at(moment.at), see(pool, moment, capacity), memory)
        memory = verdict.memory
        if verdict.desired != pool.replicas:
            changes += 1
            memory = with_change(memory, verdict.desired - pool.replicas, now=moment.at)
            pool.scale(verdict.desired, ready_at=moment.at + capacity.start_seconds)
    return summed_up(moments, course, changes=changes, replica_cost=replica_cost)


def see(pool: Pool, moment: Moment, capacity: Capacity) -> Observation:
    """What the signals would have said."""
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
    readings = {kind: Reading(value=value, telling=reporting) for kind, value in values.items()}
    for kind, share in moment.shares.items():
        # The same work on fewer replicas keeps each of them busier; memory is not work.
        work = 1.0 if kind == "memory" else (moment.replicas or reporting) / reporting
        readings[kind] = Reading(value=min(100.0, share * work), telling=reporting)
    return Observation(
        now=moment.at,
        replicas=pool.replicas,
        ready=pool.ready,
        readings=readings,
        idle_since=pool.idle_since,
        is_wanted=pool.ready == 0 and pool.backlog > 0,
    )


def summed_up(
    moments: Sequence[Moment], course: Course, *, changes: int, replica_cost: float
) -> Rehearsal:
    waits, step = course.waited(), course.step / 3600
    hours = sum(course.replicas) * step
    then = [moment.replicas for moment in moments if moment.replicas is not None]
    hours_then = sum(then) * step if len(then) == len(moments) else None
    p50, p95 = quantiles(waits, [moment.arrivals for moment in moments], at=(0.5, 0.95))
    return Rehearsal(
        hours=len(moments) * step,
        requests=sum(moment.arrivals for moment in moments) * course.step,
        replica_hours=hours,
        replica_hours_then=hours_then,
        cost=hours * replica_cost,
        cost_then=None if hours_then is None else hours_then * replica_cost,
        changes=changes,
        most=max(course.replicas),
        wait_p50=p50,
        wait_p95=p95,
        wait_most=max(waits),
        points=points_of(moments, course, waits),
    )


def nothing() -> Rehearsal:
    return Rehearsal(
        hours=0,
        requests=0,
        replica_hours=0,
        replica_hours_then=None,
        cost=0,
        cost_then=None,
        changes=0,
        most=0,
        wait_p50=0,
        wait_p95=0,
        wait_most=0,
    )


def quantiles(
    values: Sequence[float], weights: Sequence[float], *, at: Sequence[float]
) -> list[float]:
    """Of values that count by their weights. 0 where nothing weighs anything."""
    pairs = sorted(zip(values, weights, strict=True))
    sums = list(accumulate(weight for _, weight in pairs))
    if not sums or not sums[-1]:
        return [0.0 for _ in at]
    return [pairs[min(bisect_left(sums, share * sums[-1]), len(pairs) - 1)][0] for share in at]


def points_of(
    moments: Sequence[Moment], course: Course, waits: Sequence[float]
) -> tuple[Point, ...]:
    """Few enough to be drawn; of waits the longest, so that no bad moment is hidden."""
    size = max(1, -(-len(moments) // DRAWN))
    points = []
    for start in range(0, len(moments), size):
        part = slice(start, start + size)
        count = len(moments[part])
        then = [each.replicas for each in moments[part] if each.replicas is not None]
        points.append(
            Point(
                at=moments[start].at,
                arrivals=sum(each.arrivals for each in moments[part]) / count,
                replicas=sum(course.replicas[part]) / count,
                ready=sum(course.ready[part]) / count,
                then=sum(then) / len(then) if then else None,
                wait=max(waits[part]),
            )
        )
    return tuple(points)


def oracle_hours(moments: Sequence[Moment], *, capacity: Capacity, least: int = 1) -> float:
    """The replica-hours of somebody who knew the load beforehand: no request ever waits, and no
    replica is there that is not needed.
    """
    power = capacity.requests_per_second
    needed = (max(least, -int(-moment.arrivals // power)) for moment in moments)
    return sum(needed) * SECONDS / 3600
