"""What a slow Redis and a busy machine cost: latency, and no answers.

    python tests/load/slow_redis.py [--bursts 10]

Bursts of requests at a gateway whose Redis answers late, without and with busy processes beside it.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp

if __name__ == "__main__":
    # A script's own folder is on the path, the checkout is not.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.fakes.redis_gate import RedisGate, redis_gate
from tests.fixtures.servers.ports import free_port
from tests.load import load, servers, stack
from tests.load.leftovers import nothing_left_behind
from tests.load.report import Figure, save, show

BURST = 50
DELAYS_SECONDS = (0.0, 0.03, 0.1, 0.2)
BUSY_PROCESSES = (0, 2)
SPIN = "while True: pass"


@contextmanager
def gate_in_thread(redis_url: str) -> Iterator[RedisGate]:
    """A gate before Redis with an event loop of its own."""
    opened: list[RedisGate] = []
    is_open = threading.Event()
    loop = asyncio.new_event_loop()
    closing = asyncio.Event()

    async def keep_open() -> None:
        async with redis_gate(redis_url) as gate:
            opened.append(gate)
            is_open.set()
            await closing.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(keep_open()))
    thread.start()
    try:
        is_open.wait(10)
        yield opened[0]
    finally:
        loop.call_soon_threadsafe(closing.set)
        thread.join()
        loop.close()


@contextmanager
def busy_processes(count: int, where: set[int]) -> Iterator[None]:
    """On the gateway's own core."""
    with ExitStack() as running:
        for _ in range(count):
            child = running.enter_context(subprocess.Popen([sys.executable, "-c", SPIN]))
            running.callback(child.kill)
            servers.pin(child.pid, where)
        yield


@asynccontextmanager
async def session_of(target: load.Target) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=BURST)
    async with aiohttp.ClientSession(headers=target.headers, connector=connector) as session:
        yield session


async def measure_bursts(target: load.Target, *, bursts: int) -> tuple[list[int], list[float]]:
    """The status and the milliseconds of each request."""
    url = f"http://{load.HOST}:{target.port}{load.PATH}"
    body = {"model": target.model, "messages": load.MESSAGES, "max_tokens": 1}
    statuses, times = [], []

    async def ask(session: aiohttp.ClientSession) -> None:
        begun = time.perf_counter()
        async with session.post(url, json=body) as answer:
            await answer.read()
        statuses.append(answer.status)
        times.append((time.perf_counter() - begun) * 1000)

    async with session_of(target) as session:
        for _ in range(bursts):
            await asyncio.gather(*(ask(session) for _ in range(BURST)))
            await asyncio.sleep(0.2)
    return statuses, times


@contextmanager
def gateway_behind(
    gate: RedisGate, env: Mapping[str, str], engine: servers.Server, where: set[int]
) -> Iterator[load.Target]:
    seeded = stack.seed(env, engine)
    port = free_port()
    with servers.running(
        "slow-redis",
        [sys.executable, "-m", "config.gateway.server"],
        port=port,
        where=where,
        env={**env, **stack.gateway_options(port), "REDIS_URL": gate.url},
        ready_path="/readyz",
        patience=60.0,
    ):
        headers = {"authorization": f"Bearer {seeded['api_key']}"}
        yield load.Target(name="gateway", port=port, model=seeded["model"], headers=headers)


def measure(target: load.Target, gate: RedisGate, where: set[int], *, bursts: int) -> list[Figure]:
    figures = []
    for busy in BUSY_PROCESSES:
        with busy_processes(busy, where):
            for delay in DELAYS_SECONDS:
                gate.delay = delay
                statuses, times = asyncio.run(measure_bursts(target, bursts=bursts))
                case = f"Redis {delay * 1000:.0f} ms late, {busy} busy processes"
                refused = sum(status != 200 for status in statuses)
                figures += [
                    Figure(
                        name=f"{case}: refused of {len(statuses)}",
                        measured=refused,
                        unit="",
                        at_most=0,
                    ),
                    Figure(
                        name=f"{case}: p99",
                        measured=statistics.quantiles(times, n=100)[98],
                        unit="ms",
                    ),
                ]
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bursts", type=int, default=10)
    given = parser.parse_args()
    under_test, others = servers.cores()
    servers.pin(os.getpid(), others)
    with ExitStack() as running:
        engine = running.enter_context(servers.upstream(others))
        home = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="tenantry-bench-")))
        env = running.enter_context(stack.databases(home))
        stack.manage(env, "migrate", "--verbosity", "0")
        gate = running.enter_context(gate_in_thread(env["REDIS_URL"]))
        target = running.enter_context(gateway_behind(gate, env, engine, under_test))
        figures = measure(target, gate, under_test, bursts=given.bursts)
    path = save(servers.ROOT / ".tenantry" / "bench", "slow-redis", figures=figures, raw={})
    print(show(f"Bursts of {BURST} at one worker", figures))
    print(f"\nAll numbers: {path.relative_to(servers.ROOT)}")


if __name__ == "__main__":
    with nothing_left_behind():
        main()
