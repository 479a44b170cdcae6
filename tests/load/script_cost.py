"""What an admission costs: µs of Redis' time and of Python's, with every limit at every scope."""

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    # A script's own folder is on the path, the checkout is not.
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

import redis.asyncio

from kernel.storage.redis import connect_async
from tenants.admission.limits.checks import Checks
from tenants.admission.limits.messages import AdmitRequest, Granted, Settlement
from tenants.admission.redis_counters.counters import Counters
from tenants.admission.redis_counters.scripts import ADMIT
from tests.fixtures.limits.counters import PATIENT, Totals
from tests.fixtures.limits.scripts import ask, checks, quota, scope
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.valkey import valkey
from tests.load.leftovers import nothing_left_behind

SCOPES = ("key:1", "member:1", "tenant", "tenant|route=tiny")
CALLERS = 64


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one admission."""

    script_us: float
    """In Redis, as INFO commandstats counts it: by the clock, while nobody else needs its core."""
    python_us: float
    """CPU of this process, with this many callers at once."""
    per_second: float
    """One process, one Valkey."""


def measure_admissions(*, scopes: int = 4, admissions: int = 20_000) -> Cost:
    """On a Valkey of its own, which is ended afterwards."""
    with valkey(free_port()) as url:
        return asyncio.run(admit_many(url, scopes=scopes, admissions=admissions))


def every_limit(scopes: int) -> Checks:
    """Requests, tokens, concurrency and a quota at each scope; nothing is ever refused."""
    now = int(time.time())
    window = f"{now - 3600}-{now + 86400}"
    return checks(
        *(
            scope(
                name,
                quota(name, window, 10**12),
                request_us=60,
                request_burst_us=60_000_000,
                token_us=0.06,
                token_burst_us=60_000_000,
                concurrency=10**6,
            )
            for name in SCOPES[:scopes]
        )
    )


async def admit_many(url: str, *, scopes: int, admissions: int) -> Cost:
    server = connect_async(url)
    limits = every_limit(scopes)
    async with Counters(server, Totals().load, timeout=PATIENT) as counters:
        await counters.admit(ask(limits, "req_first"))
        await server.config_resetstat()
        script_us, spent, elapsed = 0.0, 0.0, 0.0
        for start in range(0, admissions, 2000):
            wave = [ask(limits, f"req_{n:030d}") for n in range(start, start + 2000)]
            before, since = time.process_time(), time.perf_counter()
            await take_turns(counters, wave)
            spent += time.process_time() - before
            elapsed += time.perf_counter() - since
            script_us += await script_time(server)
            await settle(counters, wave)
            await server.config_resetstat()
    await server.aclose()
    return Cost(
        script_us=script_us / admissions,
        python_us=spent / admissions * 1e6,
        per_second=admissions / elapsed,
    )


async def take_turns(counters: Counters, wave: list[AdmitRequest]) -> None:
    """So many callers, each with one request after the other."""
    waiting = iter(wave)

    async def call() -> None:
        for each in waiting:
            assert isinstance(await counters.admit(each), Granted)

    await asyncio.gather(*(call() for _ in range(CALLERS)))


async def settle(counters: Counters, wave: list[AdmitRequest]) -> None:
    done = [Settlement(tenant_id=1, request_id=each.request_id, rate_tokens=1) for each in wave]
    for start in range(0, len(done), 500):
        await counters.settle(done[start : start + 500], [])


async def script_time(server: redis.asyncio.Redis) -> float:
    """µs in scripts since the last reset; only admissions ran."""
    stats = (await server.info("commandstats"))["cmdstat_fcall"]
    return float(stats["usec"])


if __name__ == "__main__":
    with nothing_left_behind():
        for count in (1, 2, 4):
            cost = measure_admissions(scopes=count)
            print(
                f"{count} scopes: {cost.script_us:.1f} µs in Redis, "
                f"{cost.python_us:.1f} µs in Python, "
                f"{cost.per_second:,.0f} admissions per second ({ADMIT.function})"
            )
