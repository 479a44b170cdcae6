"""What the run queue costs: accepted tasks, their start on a node, take-over, and claims.

    python tests/load/run_queue.py [--tasks 1500] [--claims 4000]

The gateway has one core; the load, the engine, the nodes and the databases have the others. Claims
are measured with PostgreSQL's SKIP LOCKED and with a consumer group of Redis Streams.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import psycopg
import uvloop

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.fixtures.servers.ports import free_port
from tests.load import load, servers, stack
from tests.load.leftovers import nothing_left_behind
from tests.load.report import Figure, save, show

CLIENTS = 32
LATENCY_TASKS = 60
LONG_TOKENS = 2000
"""A run that lasts longer than a take-over."""
RUNS_OF_KILLED_NODE = 8
WAIT_MS = """
SELECT percentile_cont(0.5) WITHIN GROUP (
    ORDER BY extract(epoch FROM started_at - created_at) * 1000
)::float FROM agents_run WHERE background AND started_at IS NOT NULL
"""


async def post_tasks(target, capability, count):
    """Send tasks one after the other, as one of several clients."""
    url = f"http://{load.HOST}:{target.port}/v1/tasks"
    async with aiohttp.ClientSession(headers=target.headers) as session:
        for _ in range(count):
            body = {
                "required_capabilities": [capability],
                "input": "hello",
                "idempotency_key": os.urandom(12).hex(),
            }
            async with session.post(url, json=body) as answer:
                assert answer.status == 202, await answer.text()


async def measure_latency(target, capability, database):
    """Milliseconds from the insertion of a run to its claim by an idle node, at p50."""
    for _ in range(LATENCY_TASKS):
        await post_tasks(target, capability, 1)
        await asyncio.sleep(0.15)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        cursor = await connection.execute(WAIT_MS)
        return (await cursor.fetchone())[0]


async def measure_acceptance(target, capability, server, *, tasks):
    """Accepted tasks per second, and per second of the gateway's CPU."""
    begun, cpu = time.perf_counter(), server.cpu_seconds()
    each = tasks // CLIENTS
    await asyncio.gather(*(post_tasks(target, capability, each) for _ in range(CLIENTS)))
    count = each * CLIENTS
    seconds, cpu = time.perf_counter() - begun, server.cpu_seconds() - cpu
    return count / seconds, count / cpu


async def wait_for(database, sql, *, seconds):
    """Return when the query's number is not zero."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        async with asyncio.timeout(seconds):
            while not (await (await connection.execute(sql)).fetchone())[0]:
                await asyncio.sleep(0.05)


async def measure_takeover(target, killed, database):
    """Seconds from SIGKILL of a node to the claim of its last run by the other node."""
    body = {
        "model": target.model,
        "input": "hello",
        "background": True,
        "max_output_tokens": LONG_TOKENS,
    }
    url = f"http://{load.HOST}:{target.port}/v1/responses"
    async with aiohttp.ClientSession(headers=target.headers) as session:
        for _ in range(2 * RUNS_OF_KILLED_NODE):
            async with session.post(url, json=body) as answer:
                assert answer.status == 200, await answer.text()
    long_runs = "FROM agents_run WHERE door = 'responses' AND state = 'in_progress'"
    await wait_for(
        database,
        f"SELECT count(*) >= {2 * RUNS_OF_KILLED_NODE} AND count(DISTINCT worker) = 2 {long_runs}",
        seconds=30,
    )
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        rows = await connection.execute(
            "SELECT worker FROM agents_agentnode WHERE name = %s", [killed.name]
        )
        (worker,) = await rows.fetchone()
    killed.process.kill()
    begun = time.perf_counter()
    lost = f"FROM agents_run WHERE worker = '{worker}' AND state = 'in_progress'"
    await wait_for(database, f"SELECT NOT EXISTS (SELECT {lost})", seconds=60)
    await wait_for(
        database, "SELECT NOT EXISTS (SELECT FROM agents_run WHERE state = 'queued')", seconds=60
    )
    return time.perf_counter() - begun


def environment_of(server) -> dict[str, str]:
    """The environment that a process was given."""
    variables = Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
    return dict(part.decode().split("=", 1) for part in variables if part)


def node(name: str, others: set[int], env: Mapping[str, str], token: str):
    """Start an agent node."""
    port = free_port()
    own = {
        **env,
        "DJANGO_SETTINGS_MODULE": "config.settings.node",
        "TENANTRY_NODE_NAME": name,
        "TENANTRY_NODE_PORT": str(port),
        "TENANTRY_NODE_TOKEN": token,
        "TENANTRY_HOME": f"{env['TENANTRY_HOME']}/{name}",
    }
    command = [sys.executable, "-m", "config.node.server"]
    return servers.running(
        name, command, port=port, where=others, env=own, ready_path="/readyz", patience=60.0
    )


def step(env, script: str, *arguments: str):
    """Run a script of this folder with the gateway's databases; return what it prints."""
    console = {**env, "DJANGO_SETTINGS_MODULE": "config.settings.console"}
    printed = stack.finish(console, str(Path(__file__).with_name(script)), *arguments)
    return json.loads(printed.splitlines()[-1])


def claims(env, runs: int) -> list[Figure]:
    figures = []
    for name, (per_second, milliseconds) in step(env, "queue_claims.py", str(runs)).items():
        figures += [
            Figure(name=f"{name}, claims of 3 nodes", measured=per_second, unit="/s"),
            Figure(name=f"{name}, one claim of 8, p50", measured=milliseconds, unit="ms"),
        ]
    return figures


async def measure(running, others, gateway, given):
    server, target = gateway
    env = environment_of(server)
    seeded = step(env, "seed_nodes.py")
    # Before there are nodes, which would claim the runs.
    claimed = await asyncio.to_thread(claims, env, given.claims)
    database, capability = env["DATABASE_URL"], seeded["capability"]
    first = running.enter_context(node("node-1", others, env, seeded["token"]))
    # The gateway counts the nodes and reads the agents at intervals.
    await asyncio.sleep(7)
    latency = await measure_latency(target, capability, database)
    accepted, per_cpu = await measure_acceptance(target, capability, server, tasks=given.tasks)
    idle = "SELECT NOT EXISTS (SELECT FROM agents_run WHERE state IN ('queued', 'in_progress'))"
    await wait_for(database, idle, seconds=300)
    running.enter_context(node("node-2", others, env, seeded["token"]))
    takeover = await measure_takeover(target, first, database)
    return [
        Figure(name="task accepted to claimed, p50", measured=latency, unit="ms", at_most=50),
        Figure(name="accepted tasks", measured=accepted, unit="/s"),
        Figure(name="accepted tasks per CPU second", measured=per_cpu, unit="/s", at_least=300),
        Figure(name="take-over of a killed node's runs", measured=takeover, unit="s", at_most=15),
        *claimed,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=1500)
    parser.add_argument("--claims", type=int, default=4000)
    given = parser.parse_args()
    under_test, others = servers.cores()
    servers.pin(os.getpid(), others)
    with ExitStack() as running:
        upstream = running.enter_context(servers.upstream(others))
        server, target, _ = running.enter_context(stack.gateway(under_test, others, upstream))
        figures = uvloop.run(measure(running, others, (server, target), given))
    path = save(servers.ROOT / ".tenantry" / "bench", "run-queue", figures=figures, raw={})
    print(show("The run queue, with one gateway worker on one core", figures))
    print(f"\nAll numbers: {path.relative_to(servers.ROOT)}")


if __name__ == "__main__":
    with nothing_left_behind():
        main()
