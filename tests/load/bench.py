"""The benchmark behind `make bench`: the gateway beside the least that a relay in Python can do.

The server under test has one core, the load and the engine have the others. Rounds alternate, so
that a busy moment of the machine hits both. A ratio says more than a rate: it holds on other
machines too.
"""

import argparse
import os
import statistics
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # A script's own folder is on the path, the checkout is not.
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.load import load, servers, stack
from tests.load.demand import report_demand
from tests.load.first_token import HalfLoad, measure_first_tokens
from tests.load.leftovers import nothing_left_behind
from tests.load.picking import PickCost, measure_picking, worst
from tests.load.rehearsals import report_rehearsals
from tests.load.report import Figure, save, show
from tests.load.script_cost import Cost, measure_admissions

STREAMS = 600
STREAM_TOKENS = 250
TOKENS_PER_SECOND = 50
"""Of each stream: the engine's pace."""
RATE = 100
SHARE = 0.35
"""Of the relay's rate, which the gateway is to reach with four scopes of every kind of limit."""
MOST_TTFT_MS = 10
"""That the gateway adds at p99 to the time to the first token, at half load."""
MOST_WAITING = 0.05
"""Of the time, for a core that others use: then a time to first token is theirs, not ours."""
CALM = 0.25
"""If the relay's own rounds differ by more than this share, something else used the machine."""


@dataclass(slots=True)
class Subject:
    """A server under test and everything that was measured of it."""

    server: servers.Server
    target: load.Target
    throughput: list[load.Throughput] = field(default_factory=list)
    latency: list[load.Latency] = field(default_factory=list)
    streams: list[load.Streams] = field(default_factory=list)
    stream_cpu: list[float] = field(default_factory=list)
    """Share of one core that so many streams take, from the CPU time of all their tokens."""
    rss_mb: float = 0.0

    @property
    def per_second(self) -> float:
        return statistics.median(each.per_second for each in self.throughput)

    @property
    def p50_ms(self) -> float:
        return statistics.median(each.p50_ms for each in self.latency)

    def as_json(self) -> dict[str, Any]:
        lists = {"throughput": self.throughput, "latency": self.latency, "streams": self.streams}
        return {
            **{name: [asdict(each) for each in values] for name, values in lists.items()},
            "stream_cpu": self.stream_cpu,
            "rss_mb": self.rss_mb,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How much is measured."""

    rounds: int
    seconds: float
    streams: int


def measure(subjects: list[Subject], *, length: Length) -> None:
    """Everything, in rounds that alternate between the subjects; the engine itself goes along."""
    for subject in subjects:
        say(f"warming up {subject.target.name}")
        load.measure_throughput(subject.target, seconds=2)
    for round_number in range(1, length.rounds + 1):
        for subject in subjects:
            say(f"round {round_number}: {subject.target.name}")
            subject.throughput.append(
                load.measure_throughput(subject.target, seconds=length.seconds)
            )
            subject.latency.append(
                load.measure_latency(subject.target, per_second=RATE, seconds=length.seconds)
            )
    for subject in subjects:
        say(f"{length.streams} streams: {subject.target.name}")
        measure_streams(subject, streams=length.streams)
        subject.rss_mb = subject.server.rss_mb()


def measure_streams(subject: Subject, *, streams: int) -> None:
    before = subject.server.cpu_seconds()
    measured = load.measure_streams(subject.target, streams=streams, tokens=STREAM_TOKENS)
    subject.streams.append(measured)
    used = subject.server.cpu_seconds() - before
    subject.stream_cpu.append(used / max(1, measured.events) * streams * TOKENS_PER_SECOND)


def measure_half_load(subjects: list[Subject], *, length: Length) -> tuple[HalfLoad, float]:
    """First tokens, and for what share of that time others had the core."""
    say("first tokens at half load")
    server, started = subjects[-1].server, time.monotonic()
    before = server.seconds_kept_waiting()
    targets = [subject.target for subject in subjects]
    half = measure_first_tokens(targets, rounds=length.rounds, seconds=length.seconds)
    waited = server.seconds_kept_waiting() - before
    return half, waited / (time.monotonic() - started)


def ratio(subject: Subject, relay: Subject) -> float:
    """The median of the rounds' ratios: each is of one moment of the machine."""
    pairs = zip(subject.throughput, relay.throughput, strict=True)
    return statistics.median(ours.per_second / theirs.per_second for ours, theirs in pairs)


def unrest(relay: Subject) -> float:
    """How far the rounds of the same relay are apart, as a share of the best."""
    rates = [each.per_second for each in relay.throughput]
    return 1 - min(rates) / max(rates)


def baseline_figures(direct: Subject, relay: Subject) -> list[Figure]:
    added = relay.p50_ms - direct.p50_ms
    return [
        Figure(name="engine alone, requests per second", measured=direct.per_second),
        Figure(name="relay, requests per second", measured=relay.per_second),
        Figure(name=f"relay, added p50 at {RATE} req/s", measured=added, unit="ms"),
        Figure(name="relay, streams complete", measured=100 * relay.streams[-1].success, unit="%"),
        Figure(name="relay, CPU of the streams", measured=100 * relay.stream_cpu[-1], unit="%"),
        Figure(
            name="relay, unrest between rounds",
            measured=100 * unrest(relay),
            unit="%",
            at_most=100 * CALM,
        ),
        Figure(name="relay, memory", measured=relay.rss_mb, unit="MB"),
    ]


def gateway_figures(direct: Subject, relay: Subject, gateway: Subject | None) -> list[Figure]:
    """Against the targets, with every limit in force. Rates count as a share of the relay's."""
    return [
        Figure(
            name="gateway, requests per second",
            measured=gateway and gateway.per_second,
            at_least=round(relay.per_second * SHARE, -1),
        ),
        Figure(
            name="gateway / relay",
            measured=gateway and ratio(gateway, relay),
            at_least=SHARE,
        ),
        Figure(
            name=f"gateway, added p50 at {RATE} req/s",
            measured=gateway and gateway.p50_ms - direct.p50_ms,
            unit="ms",
            at_most=2,
        ),
        Figure(
            name="gateway, streams complete",
            measured=gateway and 100 * gateway.streams[-1].success,
            unit="%",
            at_least=100,
        ),
        Figure(
            name="gateway, CPU of the streams",
            measured=gateway and 100 * gateway.stream_cpu[-1],
            unit="%",
            at_most=100,
        ),
        Figure(
            name="gateway, memory per worker",
            measured=gateway and gateway.rss_mb,
            unit="MB",
            at_most=150,
        ),
        Figure(
            name="gateway, answers other than 200",
            measured=gateway and sum(each.refused + each.broken for each in gateway.throughput),
            at_most=0,
        ),
    ]


def first_token_figures(half: HalfLoad, *, kept_waiting: float) -> list[Figure]:
    """At the same rate for all: half of the short streams that the last one can.

    `kept_waiting`: the share of the time in which others had the last one's core.
    """
    name = list(half.subjects)[-1]
    rate = f"at half load ({half.per_second} streams/s)"
    p50, p99 = half.added(name)
    refused = sum(each.refused for each in half.subjects.values())
    return [
        Figure(name=f"{name}, short streams per second", measured=half.most_per_second),
        Figure(name=f"engine, TTFT p99 {rate}", measured=half.subjects["engine"].p99_ms, unit="ms"),
        Figure(name=f"relay, added TTFT p99 {rate}", measured=half.added("relay")[1], unit="ms"),
        Figure(name=f"{name}, added TTFT p50 {rate}", measured=p50, unit="ms"),
        Figure(
            name=f"{name}, added TTFT p99 {rate}",
            measured=p99,
            unit="ms",
            at_most=MOST_TTFT_MS,
        ),
        Figure(name="streams refused at half load", measured=refused, at_most=0),
        Figure(
            name=f"{name} kept waiting for its core meanwhile",
            measured=100 * kept_waiting,
            unit="%",
            at_most=100 * MOST_WAITING,
        ),
    ]


def admission_figures(cost: Cost, *, revoked_ms: float | None) -> list[Figure]:
    return [
        Figure(
            name="admission script at four scopes, Redis CPU",
            measured=cost.script_us,
            unit="µs",
            at_most=40,
        ),
        Figure(name="admission, CPU of the gateway", measured=cost.python_us, unit="µs"),
        Figure(name="a blocked key still works, p99", measured=revoked_ms, unit="ms", at_most=1000),
    ]


def picking_figures(hundred: list[PickCost], thousand: list[PickCost]) -> list[Figure]:
    return [
        Figure(
            name=f"choosing among {costs[0].endpoints:,} endpoints, the dearest strategy",
            measured=worst(costs).choice,
            unit="µs",
            at_most=at_most,
        )
        for costs, at_most in ((hundred, 20), (thousand, 100))
    ]


def say(sentence: str) -> None:
    print(f"  {sentence} …", file=sys.stderr, flush=True)


def bench(length: Length, *, with_gateway: bool) -> int:
    """The exit status: 1 if the gateway should have been measured and could not be."""
    under_test, others = servers.cores()
    # On all cores: Redis takes a script's time by the clock, so that it must not wait for its own.
    cost = measure_admissions()
    servers.pin(os.getpid(), others)
    reason = "left out" if not with_gateway else ""
    with ExitStack() as running:
        engine = running.enter_context(servers.upstream(others))
        direct = Subject(engine, load.Target(name="engine", port=engine.port))
        yardstick = running.enter_context(servers.relay(under_test, engine))
        relay = Subject(yardstick, load.Target(name="relay", port=yardstick.port))
        gateway, revoked_ms = None, None
        if with_gateway:
            try:
                started = running.enter_context(stack.gateway(under_test, others, engine))
                *subject, revoked_ms = started
                gateway = Subject(*subject)
            except servers.StartError as error:
                reason = str(error)
        picking = [measure_picking(endpoints=endpoints) for endpoints in (100, 1000)]
        subjects = [direct, relay, *([gateway] if gateway else [])]
        measure(subjects, length=length)
        half, kept_waiting = measure_half_load(subjects, length=length)
    figures = [
        *baseline_figures(direct, relay),
        *gateway_figures(direct, relay, gateway),
        *first_token_figures(half, kept_waiting=kept_waiting),
        *admission_figures(cost, revoked_ms=revoked_ms),
        *picking_figures(*picking),
    ]
    raw = {subject.target.name: subject.as_json() for subject in subjects}
    raw["half_load"] = half.as_json()
    path = save(servers.ROOT / ".tenantry" / "bench", "bench", figures=figures, raw=raw)
    print(show("One worker on one core, beside a bare relay", figures))
    if unrest(relay) > CALM:
        print("\nThe machine was busy with something else: trust the ratio, not the rates.")
    if reason:
        print(f"\nThe gateway was not measured: {reason}")
    print(f"\nAll numbers: {path.relative_to(servers.ROOT)}")
    return 1 if with_gateway and gateway is None else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--without-gateway", action="store_true", help="the baseline only")
    given = parser.parse_args()
    length = Length(rounds=given.rounds, seconds=given.seconds, streams=given.streams)
    report_rehearsals()
    if not given.without_gateway:
        report_demand()
    sys.exit(bench(length, with_gateway=not given.without_gateway))


if __name__ == "__main__":
    with nothing_left_behind():
        main()
