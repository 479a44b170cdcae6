"""What history teaches: how much came, what a replica can do, how long it starts. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from inference.scaling.rehearsal.simulation import SECONDS, Capacity, Moment

ENOUGH = 10
"""Samples under full load that tell what a replica can do at most."""
USUAL_START_SECONDS = 60.0
MAX_START_SECONDS = 1800.0
USUAL_REQUEST_SECONDS = 4.0
HELD_STEPS = 20
"""For which the last known load goes on where nothing was recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One sample of a pool."""

    at: float
    seconds: float
    """That it stands for."""
    replicas: float
    ready: float
    waiting: float | None = None
    in_flight: float | None = None
    request_rate: float | None = None
    ttft_p95: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What a replica can do, and how well that is known."""

    capacity: Capacity
    is_measured: bool
    """Seen under full load; otherwise reckoned from how long requests take."""
    starts: int
    """Starts of replicas from which the start-up time was learned."""


def learn(samples: Sequence[Recorded], *, slots: float) -> Learned:
    """`slots` is how many requests a replica takes at once."""
    request_seconds = request_seconds_of(samples)
    full = full_rates(samples)
    starts = start_times(samples)
    is_measured = len(full) >= ENOUGH
    power = median(full) if is_measured else slots / request_seconds
    first = [each.ttft_p95 for each in samples if each.ttft_p95 and not each.waiting]
    return Learned(
        capacity=Capacity(
            requests_per_second=max(power, 1e-6),
            slots=slots,
            start_seconds=median(starts) if starts else USUAL_START_SECONDS,
            first_token_ms=median(first) if first else 200.0,
        ),
        is_measured=is_measured,
        starts=len(starts),
    )


def request_seconds_of(samples: Sequence[Recorded]) -> float:
    """By Little's law: what is in flight, divided by what comes."""
    known = [
        each.in_flight / each.request_rate
        for each in samples
        if each.in_flight and each.request_rate
    ]
    return median(known) if known else USUAL_REQUEST_SECONDS


def full_rates(samples: Sequence[Recorded]) -> list[float]:
    """Requests a second of one replica while more of them waited: from the beginning of a sample
    to its end, and on as many replicas.
    """
    return [
        each.request_rate / each.ready
        for before, each in pairwise(samples)
        if before.waiting and each.waiting and each.request_rate
        if each.ready == before.ready >= 1
    ]


def start_times(samples: Sequence[Recorded]) -> list[float]:
    """From each order until as many were ready. A sample shows what there was before it was
    decided: more replicas were ordered when the sample before was taken.
    """
    return [
        found - before.at
        for number, (before, after) in enumerate(pairwise(samples), start=1)
        if after.replicas > before.replicas and (found := ready_at(samples, number)) is not None
    ]


def ready_at(samples: Sequence[Recorded], number: int) -> float | None:
    """None if that many were not ready before something else happened, or much later."""
    grown = samples[number]
    for each in samples[number:]:
        if each.at - grown.at > MAX_START_SECONDS or each.replicas < grown.replicas:
            return None
        if each.ready >= grown.replicas:
            return each.at
    return None


def moments_from(samples: Sequence[Recorded], *, step: float = SECONDS) -> list[Moment]:
    """The load step by step: what was sent to engines, and what began to wait besides."""
    return list(steps(samples, step=step))


def steps(samples: Sequence[Recorded], *, step: float) -> Iterator[Moment]:
    arrivals, waiting = 0.0, 0.0
    ends: float | None = None
    before: Recorded | None = None
    for each in samples:
        if ends is not None and before is not None and each.at > ends:
            yield from held(before, arrivals, since=ends, until=each.at, step=step)
        if each.request_rate is not None:
            more = (each.waiting or 0.0) - waiting
            arrivals = max(0.0, each.request_rate + more / each.seconds)
        waiting = each.waiting or 0.0
        for number in range(max(1, int(each.seconds / step))):
            yield moment_of(each, arrivals, at=each.at + step * number)
        ends, before = each.at + each.seconds, each


def held(
    before: Recorded, arrivals: float, *, since: float, until: float, step: float
) -> Iterator[Moment]:
    """Where nothing was recorded, for a while as before, and then nothing."""
    for number in range(int((until - since) / step)):
        load = arrivals if number < HELD_STEPS else 0.0
        yield moment_of(before, load, at=since + step * number)


def moment_of(sample: Recorded, arrivals: float, *, at: float) -> Moment:
    return Moment(at=at, arrivals=arrivals, replicas=sample.replicas, shares=sample.shares)
