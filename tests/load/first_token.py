"""What the gateway adds to the time to the first token, while it does half of what it can.

Short streams, started by the clock whether the ones before have ended or not: a closed loop would
wait with whoever is slow, and not see it.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.load import load

TOKENS = 1
"""The engine sends such a stream at once, so what takes time is on the way."""
LOAD = 0.5
WARM_SECONDS = 1.0


@dataclass(slots=True)
class FirstToken:
    """Times to the first token through one server, in rounds, at the same rate for all."""

    target: load.Target
    rounds: list[load.Latency] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        return statistics.median(each.p50_ms for each in self.rounds)

    @property
    def p99_ms(self) -> float:
        return statistics.median(each.p99_ms for each in self.rounds)

    @property
    def refused(self) -> int:
        return sum(each.refused for each in self.rounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfLoad:
    """All that was measured."""

    most_per_second: float
    """Short streams of the busiest target, as fast as it goes."""
    per_second: int
    subjects: dict[str, FirstToken]

    def added(self, name: str) -> tuple[float, float]:
        """Milliseconds over asking the engine itself: p50, and p99 less p99."""
        ours, engine = self.subjects[name], self.subjects["engine"]
        return ours.p50_ms - engine.p50_ms, ours.p99_ms - engine.p99_ms

    def as_json(self) -> dict[str, Any]:
        rounds = {
            name: [{"p50_ms": each.p50_ms, "p99_ms": each.p99_ms} for each in subject.rounds]
            for name, subject in self.subjects.items()
        }
        return {"most_per_second": self.most_per_second, "rate": self.per_second, **rounds}


def measure_first_tokens(
    targets: Sequence[load.Target], *, rounds: int, seconds: float
) -> HalfLoad:
    """The last of `targets` decides the rate: half of what it can. They take turns."""
    short = [replace(each, options={"stream": True, "max_tokens": TOKENS}) for each in targets]
    most = load.measure_throughput(short[-1], seconds=seconds).per_second
    rate = max(1, int(most * LOAD))
    subjects = {each.name: FirstToken(each) for each in short}
    for _ in range(rounds):
        for subject in subjects.values():
            loop = open_loop(subject.target, per_second=rate, seconds=seconds)
            subject.rounds.append(load.run(loop))
    return HalfLoad(most_per_second=most, per_second=rate, subjects=subjects)


async def open_loop(target: load.Target, *, per_second: int, seconds: float) -> load.Latency:
    """What starts in the first second warms up and is not counted."""
    request = target.request()
    idle: list[load.Client] = []
    took: list[float] = []
    refused = 0

    async def one(*, counts: bool) -> None:
        nonlocal refused
        client = idle.pop() if idle else await load.Client.connect(target)
        began = time.perf_counter()
        first = await client.first_event(request)
        if first is None:
            refused += 1
        elif counts:
            took.append(first - began)
        idle.append(client)

    loop = asyncio.get_running_loop()
    start, tasks = loop.time(), []
    for index in range(int(per_second * (WARM_SECONDS + seconds))):
        due = index / per_second
        await asyncio.sleep(max(0.0, start + due - loop.time()))
        tasks.append(asyncio.create_task(one(counts=due >= WARM_SECONDS)))
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    return load.Latency(
        p50_ms=load.percentile(took, 50) * 1000,
        p99_ms=load.percentile(took, 99) * 1000,
        requests=len(took),
        refused=refused,
    )
