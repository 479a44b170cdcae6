"""Estimates the load of a pool and the capacity and start-up time of a replica. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from inference.scaling.rehearsal.simulation import STEP_SECONDS, Capacity, Moment

MIN_FULL_SAMPLES = 10
"""Minimum of samples under full load from which a replica's capacity is measured."""
DEFAULT_START_SECONDS = 60.0
MAX_START_SECONDS = 1800.0
DEFAULT_REQUEST_SECONDS = 4.0
MAX_EXTRAPOLATED_STEPS = 20
"""Steps without a sample for which the last known load is assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One sample of a pool."""

    at: float
    seconds: float
    """Length of the interval that the sample covers."""
    replicas: float
    ready: float
    waiting: float | None = None
    in_flight: float | None = None
    request_rate: float | None = None
    ttft_p95: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityEstimate:
    """The capacity of a replica, and the source of the estimate."""

    capacity: Capacity
    is_measured: bool
    """Whether it was measured under full load; otherwise it is derived from request durations."""
    starts: int
    """Number of starts from which the start-up time was estimated."""


def estimate_capacity(samples: Sequence[Recorded], *, slots: float) -> CapacityEstimate:
    """Estimate the capacity of a replica; `slots` is its concurrency in requests."""
    request_seconds = request_seconds_of(samples)
    full = full_rates(samples)
    starts = start_times(samples)
    is_measured = len(full) >= MIN_FULL_SAMPLES
    power = median(full) if is_measured else slots / request_seconds
    first = [each.ttft_p95 for each in samples if each.ttft_p95 and not each.waiting]
    return CapacityEstimate(
        capacity=Capacity(
            requests_per_second=max(power, 1e-6),
            slots=slots,
            start_seconds=median(starts) if starts else DEFAULT_START_SECONDS,
            first_token_ms=median(first) if first else 200.0,
        ),
        is_measured=is_measured,
        starts=len(starts),
    )


def request_seconds_of(samples: Sequence[Recorded]) -> float:
    """Return the mean duration by Little's law: requests in flight divided by their rate."""
    known = [
        each.in_flight / each.request_rate
        for each in samples
        if each.in_flight and each.request_rate
    ]
    return median(known) if known else DEFAULT_REQUEST_SECONDS


def full_rates(samples: Sequence[Recorded]) -> list[float]:
    """Return the requests per second and replica of samples with a queue from start to end.

    Samples in which the number of ready replicas changed are skipped.
    """
    return [
        each.request_rate / each.ready
        for before, each in pairwise(samples)
        if before.waiting and each.waiting and each.request_rate
        if each.ready == before.ready >= 1
    ]


def start_times(samples: Sequence[Recorded]) -> list[float]:
    """Return the seconds from each scale-out until all of its replicas were ready.

    A sample is taken before its decision, so the scale-out happened at the sample before.
    """
    return [
        found - before.at
        for number, (before, after) in enumerate(pairwise(samples), start=1)
        if after.replicas > before.replicas and (found := ready_at(samples, number)) is not None
    ]


def ready_at(samples: Sequence[Recorded], number: int) -> float | None:
    """Return when the replicas of a sample were ready; None if scaled in before, or too late."""
    grown = samples[number]
    for each in samples[number:]:
        if each.at - grown.at > MAX_START_SECONDS or each.replicas < grown.replicas:
            return None
        if each.ready >= grown.replicas:
            return each.at
    return None


def moments_from(samples: Sequence[Recorded], *, step: float = STEP_SECONDS) -> list[Moment]:
    """Return the load per step: the rate at the engines plus the growth of the queues."""
    return list(steps(samples, step=step))


def steps(samples: Sequence[Recorded], *, step: float) -> Iterator[Moment]:
    arrivals, waiting = 0.0, 0.0
    ends: float | None = None
    before: Recorded | None = None
    for each in samples:
        if ends is not None and before is not None and each.at > ends:
            yield from extrapolated(before, arrivals, since=ends, until=each.at, step=step)
        if each.request_rate is not None:
            more = (each.waiting or 0.0) - waiting
            arrivals = max(0.0, each.request_rate + more / each.seconds)
        waiting = each.waiting or 0.0
        for number in range(max(1, int(each.seconds / step))):
            yield moment_of(each, arrivals, at=each.at + step * number)
        ends, before = each.at + each.seconds, each


def extrapolated(
    before: Recorded, arrivals: float, *, since: float, until: float, step: float
) -> Iterator[Moment]:
    """Yield steps without samples: the last load for MAX_EXTRAPOLATED_STEPS, then none."""
    for number in range(int((until - since) / step)):
        load = arrivals if number < MAX_EXTRAPOLATED_STEPS else 0.0
        yield moment_of(before, load, at=since + step * number)


def moment_of(sample: Recorded, arrivals: float, *, at: float) -> Moment:
    return Moment(at=at, arrivals=arrivals, replicas=sample.replicas, shares=sample.shares)
