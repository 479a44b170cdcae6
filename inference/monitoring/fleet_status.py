"""Reads the live state of the fleet, as reported by gateways and engines."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
import redis

from inference.errors import FleetUnreadable
from inference.fleet.redis_keys import HISTORY, WORKER, WORKERS
from kernel.storage.shared_values import note_unreadable, read_json
from tenants.counters.client import limits

MAX_WORKERS = 256
HISTORY_STEPS = 48
"""Number of intervals of the history that a page draws."""
HOUR_SECONDS = 3600
WORST_FIRST = ("open", "half_open", "closed")


class ReportedEndpoint(msgspec.Struct, frozen=True):
    """The report of one worker about one endpoint."""

    in_flight: int = 0
    breaker: str = "closed"
    ejected_until: float | None = None
    ttft_ms: float | None = None
    ttft_p50_ms: float | None = None
    ttft_p95_ms: float | None = None
    requests: int = 0
    failures: int = 0


class ReportedDemand(msgspec.Struct, frozen=True):
    """Requests for a pool without endpoints."""

    requests: int = 0
    """Number since the worker started."""
    at: float = 0.0
    """Time of the last one in seconds since 1970; 0: never."""


class FleetReport(msgspec.Struct, frozen=True):
    """The report of one worker."""

    endpoints: dict[str, ReportedEndpoint] = {}
    queues: dict[str, int] = {}
    demand: dict[str, ReportedDemand] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLive:
    """The state of one endpoint, merged from all workers."""

    in_flight: int = 0
    breaker: str = "closed"
    """The worst state of all workers: open, half_open or closed."""
    ejected_until: float | None = None
    """Seconds since 1970."""
    ttft_p50_ms: float | None = None
    """Mean of the workers' medians, weighted by their requests."""
    ttft_p95_ms: float | None = None
    """Maximum of the workers' values."""
    requests: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetLive:
    """The fleet at one moment."""

    workers: int = 0
    endpoints: Mapping[str, EndpointLive] = field(default_factory=dict)
    queues: Mapping[str, int] = field(default_factory=dict)
    """Number of queued requests by pool."""
    demand: Mapping[str, float] = field(default_factory=dict)
    """Time of the last request for a pool without endpoints, by pool, in seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample of an engine's load; None for values that it does not report."""

    at: float
    running: float = 0
    waiting: float = 0
    kv: float | None = None
    tokens_per_second: float | None = None
    """Generated tokens per second."""


def read_fleet() -> FleetLive:
    """Return the merged reports of all live workers. Raises FleetUnreadable."""
    try:
        names: Any = limits().smembers(WORKERS)
        keys = [WORKER.encode() + name for name in islice(names, MAX_WORKERS)]
        found_reports: Sequence[Any] = limits().mget(keys) if keys else ()
    except redis.RedisError as error:
        raise FleetUnreadable from error
    return merge([report for report in map(as_report, found_reports) if report is not None])


def as_report(found_reports: bytes | None) -> FleetReport | None:
    """Decode a report; None for a worker that is gone, or a format that is not known."""
    return read_json(found_reports, FleetReport, reader="worker_report")


def merge(reports: Sequence[FleetReport]) -> FleetLive:
    """Merge the reports of several workers. Pure."""
    found_reports: dict[str, list[ReportedEndpoint]] = {}
    queues: dict[str, int] = {}
    demand: dict[str, float] = {}
    for report in reports:
        for endpoint, each in report.endpoints.items():
            found_reports.setdefault(endpoint, []).append(each)
        for pool, length in report.queues.items():
            queues[pool] = queues.get(pool, 0) + length
        for pool, last in report.demand.items():
            demand[pool] = max(demand.get(pool, 0.0), last.at)
    return FleetLive(
        workers=len(reports),
        endpoints={endpoint: merge_endpoint(each) for endpoint, each in found_reports.items()},
        queues=queues,
        demand=demand,
    )


def merge_endpoint(found_reports: Sequence[ReportedEndpoint]) -> EndpointLive:
    breakers = {each.breaker for each in found_reports}
    until = [each.ejected_until for each in found_reports if each.ejected_until is not None]
    highest = [each.ttft_p95_ms for each in found_reports if each.ttft_p95_ms is not None]
    return EndpointLive(
        in_flight=sum(each.in_flight for each in found_reports),
        breaker=next((state for state in WORST_FIRST if state in breakers), "closed"),
        ejected_until=max(until, default=None),
        ttft_p50_ms=weighted_median(found_reports),
        ttft_p95_ms=max(highest, default=None),
        requests=sum(each.requests for each in found_reports),
        failures=sum(each.failures for each in found_reports),
    )


def weighted_median(found_reports: Sequence[ReportedEndpoint]) -> float | None:
    known = [(each.ttft_p50_ms, each.requests or 1) for each in found_reports if each.ttft_p50_ms]
    total = sum(weight for _, weight in known)
    return sum(median * weight for median, weight in known) / total if total else None


def read_history(ids: Sequence[str], *, now: float) -> Mapping[str, tuple[Sample, ...]]:
    """Return a sample per 75 seconds of the last hour, the oldest first, by endpoint id.

    Only one entry per interval and the newest are read, so the cost depends on the number of
    endpoints only. `now` is in seconds since 1970. Raises FleetUnreadable.
    """
    step = HOUR_SECONDS / HISTORY_STEPS
    begins = now - HOUR_SECONDS
    pipeline = limits().pipeline(transaction=False)
    for each in ids:
        for number in range(HISTORY_STEPS):
            since, until = (int(1000 * (begins + step * (number + end))) for end in (0, 1))
            pipeline.xrange(HISTORY + each, since, until - 1, count=1)
        pipeline.xrevrange(HISTORY + each, count=1, min=int(1000 * begins))
    try:
        found_reports = pipeline.execute() if ids else []
    except redis.RedisError as error:
        raise FleetUnreadable from error
    found = iter(found_reports)
    return {each: samples_of(islice(found, HISTORY_STEPS + 1)) for each in ids}


def samples_of(answers: Iterator[Any]) -> tuple[Sample, ...]:
    # Keyed by entry id: the newest entry may also be the entry of the last interval.
    entries = {entry: fields for answer in answers for entry, fields in answer}
    samples = (as_sample(entries[entry]) for entry in sorted(entries))
    return tuple(sample for sample in samples if sample is not None)


def as_sample(fields: Mapping[bytes, bytes]) -> Sample | None:
    """Decode an entry; None for one that is not valid."""
    try:
        numbers = {name.decode(): float(value) for name, value in fields.items() if value}
        if not all(map(math.isfinite, numbers.values())):
            raise ValueError("not a number")
        return Sample(
            at=numbers["at"],
            running=numbers.get("running", 0),
            waiting=numbers.get("waiting", 0),
            kv=numbers.get("kv"),
            tokens_per_second=numbers.get("generation_tokens_per_second"),
        )
    except (KeyError, ValueError) as error:
        note_unreadable("endpoint_sample", error)
        return None
