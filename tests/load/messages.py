"""What messages cost: from sending one to the claim of its run by an idle node, and replies.

    python tests/load/messages.py

The gateway has one core; the load, the engine, the node and the databases have the others.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import psycopg
import uvloop

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.load import load, servers, stack
from tests.load.leftovers import nothing_left_behind
from tests.load.report import Figure, save, show
from tests.load.run_queue import environment_of, node, step

MESSAGES = 100
REPLIES = 50
PAUSE_SECONDS = 0.15
"""So that the node is idle again."""
MAX_DELIVERY_MS = 30
CLAIMED_AT = """
SELECT public_id, extract(epoch FROM started_at)::float FROM agents_run
WHERE door = 'messages' AND started_at IS NOT NULL
"""


async def send(session, url, **members):
    async with session.post(url, json={"content": "hello", **members}) as answer:
        assert answer.status in {200, 202}, await answer.text()
        return await answer.json()


async def measure_deliveries(target, agent, database):
    """Milliseconds until the answer, and until the node has claimed the run, for each message."""
    url = f"http://{load.HOST}:{target.port}/v1/agents/{agent}/messages"
    begun, accepted = {}, []
    async with aiohttp.ClientSession(headers=target.headers) as session:
        for _ in range(MESSAGES):
            start = time.time()
            sent = await send(session, url)
            accepted.append((time.time() - start) * 1000)
            begun[sent["deliveries"][0]["response_id"]] = start
            await asyncio.sleep(PAUSE_SECONDS)
    await asyncio.sleep(2)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        claimed = dict(await (await connection.execute(CLAIMED_AT)).fetchall())
    return accepted, [(claimed[run] - start) * 1000 for run, start in begun.items()]


async def measure_replies(target, agent):
    """Milliseconds from sending a message to its reply."""
    url = f"http://{load.HOST}:{target.port}/v1/agents/{agent}/messages"
    found = []
    async with aiohttp.ClientSession(headers=target.headers) as session:
        for _ in range(REPLIES):
            start = time.time()
            await send(session, url, wait=True)
            found.append((time.time() - start) * 1000)
    return found


async def measure(running, others, gateway):
    server, target = gateway
    env = environment_of(server)
    seeded = step(env, "seed_nodes.py")
    running.enter_context(node("node-1", others, env, seeded["token"]))
    # The gateway reads the agents at intervals.
    await asyncio.sleep(7)
    accepted, delivered = await measure_deliveries(target, "echo", env["DATABASE_URL"])
    replied = await measure_replies(target, "echo")
    return [
        Figure(name="message, accepted, p50", measured=statistics.median(accepted), unit="ms"),
        Figure(
            name="message, sent to claimed by an idle node, p50",
            measured=statistics.median(delivered),
            unit="ms",
            at_most=MAX_DELIVERY_MS,
        ),
        Figure(
            name="message, sent to claimed by an idle node, p95",
            measured=statistics.quantiles(delivered, n=20)[-1],
            unit="ms",
        ),
        Figure(name="message, sent to reply, p50", measured=statistics.median(replied), unit="ms"),
    ]


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    under_test, others = servers.cores()
    servers.pin(os.getpid(), others)
    with ExitStack() as running:
        engine = running.enter_context(servers.upstream(others))
        *gateway, _ = running.enter_context(stack.gateway(under_test, others, engine))
        figures = uvloop.run(measure(running, others, gateway))
    path = save(servers.ROOT / ".tenantry" / "bench", "messages", figures=figures, raw={})
    print(show("Messages to agents", figures))
    print(f"\nAll numbers: {path.relative_to(servers.ROOT)}")


if __name__ == "__main__":
    with nothing_left_behind():
        main()
