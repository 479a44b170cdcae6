"""What runs cost: a simple turn, many sockets at an engine's pace, and following a long run again.

    python tests/load/runs.py [--sockets 300] [--turns 300] [--idle 1000]

The gateway has one core; the load, the engine and the databases have the others.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import uvloop
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

if __name__ == "__main__":
    # A script's own folder is on the path, the checkout is not.
    ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]

from tests.load import load, servers, stack
from tests.load.idle_sockets import measure_idle_sockets
from tests.load.leftovers import nothing_left_behind
from tests.load.report import Figure, save, show

TOKENS = 250
TOKENS_PER_SECOND = 50
BEAT_SECONDS = 1 / TOKENS_PER_SECOND
LONG_RUN_EVENTS = 2000
PATIENCE_SECONDS = 30
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


async def turn_ms(session, target, path, body):
    """Milliseconds of one request to its last byte."""
    begun = time.perf_counter()
    url = f"http://{load.HOST}:{target.port}{path}"
    async with session.post(url, json=body, headers=target.headers) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()
    return (time.perf_counter() - begun) * 1000


async def measure_turns(gateway, engine, *, turns):
    """Added milliseconds at p50 and p99: whole responses beside the engine's own streams."""
    ask = {"model": engine.model, "messages": load.MESSAGES, "max_tokens": 1, "stream": True}
    body = {"model": gateway.model, "input": "hello", "max_output_tokens": 1}
    ours, theirs = [], []
    async with aiohttp.ClientSession() as session:
        for number in range(turns + 20):
            # The engine speaks at beats: nobody may begin in step with them.
            await asyncio.sleep(random.uniform(0, BEAT_SECONDS))
            alone = await turn_ms(session, engine, load.PATH, ask)
            await asyncio.sleep(random.uniform(0, BEAT_SECONDS))
            added = await turn_ms(session, gateway, "/v1/responses", body)
            if number >= 20:
                theirs.append(alone)
                ours.append(added)
    return (
        statistics.median(ours) - statistics.median(theirs),
        statistics.quantiles(ours, n=100)[98] - statistics.quantiles(theirs, n=100)[98],
    )


async def hold_socket(target, results):
    """One socket that asks for one long answer; notes whether it came whole."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            results.append(await is_whole(target))
    except (TimeoutError, OSError, WebSocketException) as error:
        print(f"a socket failed: {error!r}", file=sys.stderr)
        results.append(False)


async def is_whole(target):
    """Whether the answer came in order, with all its tokens and its end."""
    url = f"ws://{load.HOST}:{target.port}/ws/v1/responses"
    async with connect(url, additional_headers=target.headers, max_queue=None) as socket:
        create = {"type": "response.create", "model": target.model, "input": "hello"}
        await socket.send(json.dumps({**create, "max_output_tokens": TOKENS}))
        said, number = 0, -1
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "error" or frame["sequence_number"] != number + 1:
                print(f"a socket failed: {text[:300]}", file=sys.stderr)
                return False
            number = frame["sequence_number"]
            said += frame.get("delta", "").count("tok")
            if frame["type"] in TERMINAL:
                return said == TOKENS
    return False


async def measure_sockets(target, *, sockets):
    """The share of sockets with a whole answer, and the seconds from first to last."""
    results = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(sockets):
            tasks.create_task(hold_socket(target, results))
            if number % 20 == 0:
                await asyncio.sleep(0.05)
    return sum(results) / sockets, time.perf_counter() - begun


async def measure_resume(target, *, events):
    """Milliseconds to read the log of a long run again, at p50; and how many events it had."""
    body = {"model": target.model, "input": "hello", "stream": True, "max_output_tokens": TOKENS}
    url = f"http://{load.HOST}:{target.port}/v1/responses"
    async with aiohttp.ClientSession(headers=target.headers) as session:
        async with session.post(url, json=body) as answer:
            text = (await answer.read()).decode()
        run_id = text.split('"id":"', 1)[1].split('"', 1)[0]
        await asyncio.to_thread(lengthen, run_id, events)
        seconds = []
        for _ in range(20):
            begun = time.perf_counter()
            async with session.get(f"{url}/{run_id}?stream=true") as answer:
                whole = await answer.read()
            seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds) * 1000, whole.count(b"event: ")


def lengthen(run_id, events):
    """Put more deltas into a log than this benchmark's engine would say in a minute."""
    import redis

    with redis.Redis.from_url(os.environ["BENCH_REDIS_URL"]) as client:
        key = f"tenantry:run:{run_id}:events"
        entries = client.xrange(key)
        *before, (_, end) = entries
        delta = next(fields for _, fields in before if b"output_text.delta" in fields[b"e"])
        client.delete(key)
        with client.pipeline() as pipe:
            for number in range(events - 1):
                fields = before[number][1] if number < 5 else delta
                pipe.xadd(key, fields, id=f"1-{number}")
            pipe.xadd(key, end, id="2-0")
            pipe.execute()


async def measure(gateway, engine, server, *, turns, sockets, idle):
    added, added_p99 = await measure_turns(gateway, engine, turns=turns)
    before = server.cpu_seconds()
    whole, seconds = await measure_sockets(gateway, sockets=sockets)
    cpu = (server.cpu_seconds() - before) / (sockets * TOKENS) * sockets * TOKENS_PER_SECOND
    resume_ms, events = await measure_resume(gateway, events=LONG_RUN_EVENTS)
    idling = await measure_idle_sockets(gateway, server, sockets=idle)
    return [
        Figure(name="a simple turn, added p50", measured=added, unit="ms", at_most=5),
        Figure(name="a simple turn, added p99", measured=added_p99, unit="ms"),
        Figure(
            name=f"{sockets} sockets with a whole answer",
            measured=100 * whole,
            unit="%",
            at_least=100,
        ),
        Figure(name="the same, seconds for 5 s of text", measured=seconds, unit="s"),
        Figure(name="the same, CPU of the worker", measured=100 * cpu, unit="%"),
        Figure(name=f"resume of {events} events, p50", measured=resume_ms, unit="ms", at_most=50),
        *idling,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sockets", type=int, default=300)
    parser.add_argument("--turns", type=int, default=300)
    parser.add_argument("--idle", type=int, default=1000)
    given = parser.parse_args()
    under_test, others = servers.cores()
    servers.pin(os.getpid(), others)
    with ExitStack() as running:
        upstream = running.enter_context(servers.upstream(others))
        server, gateway, _ = running.enter_context(stack.gateway(under_test, others, upstream))
        os.environ["BENCH_REDIS_URL"] = gateway_redis(server)
        engine = load.Target(name="engine", port=upstream.port)
        work = measure(
            gateway, engine, server, turns=given.turns, sockets=given.sockets, idle=given.idle
        )
        figures = uvloop.run(work)
    path = save(servers.ROOT / ".tenantry" / "bench", "runs", figures=figures, raw={})
    print(show("Runs on one worker on one core", figures))
    print(f"\nAll numbers: {path.relative_to(servers.ROOT)}")


def gateway_redis(server) -> str:
    """The address that the gateway itself was given."""
    environment = Path(f"/proc/{server.process.pid}/environ").read_bytes().split(b"\0")
    (url,) = [line[10:] for line in environment if line.startswith(b"REDIS_URL=")]
    return url.decode()


if __name__ == "__main__":
    with nothing_left_behind():
        main()
