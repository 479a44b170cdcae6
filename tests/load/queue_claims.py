"""Claims of queued work: PostgreSQL's SKIP LOCKED beside a consumer group of Redis Streams.

Run with the gateway's environment and the number of runs; prints the figures as JSON.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from pathlib import Path

import psycopg
from redis.asyncio import Redis

ROOT = Path(__file__).resolve().parents[2]
NODES = 3
BATCH = 8
STREAM, GROUP = "bench:run-queue", "nodes"
ADD_RUNS = """
INSERT INTO agents_run (
    tenant_id, public_id, door, model, agent, route, client_id, request, background, store, worker,
    state, checkpoint, incomplete_reason, prompt_tokens, cached_tokens, completion_tokens, steps,
    tool_calls, cache_hit, created_at
)
SELECT (SELECT id FROM tenants_tenant WHERE slug = 'bench'), 'bench_' || n, 'responses', 'bench',
    '', 'bench', '', '{}', true, true, '', 'queued', '{}', '', 0, 0, 0, 0, 0, false, now()
FROM generate_series(1, %s) n
"""
START_RUN = "UPDATE agents_run SET worker = %s, state = 'in_progress' WHERE public_id = ANY(%s)"
RESET = "UPDATE agents_run SET state = 'queued', worker = '' WHERE public_id LIKE 'bench\\_%'"


async def measure_claims(database, redis_url, *, runs):
    """Claims per second of three nodes, and milliseconds of one claim of 8 runs at p50."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        await connection.execute(ADD_RUNS, [runs])
        await connection.execute("ANALYZE agents_run")
        sql = await all_claims(lambda name: claim_in_sql(database, name), runs)
        await connection.execute(RESET)
        stream = await with_stream(redis_url, database, runs)
        await connection.execute("DELETE FROM agents_run WHERE public_id LIKE 'bench\\_%'")
    return {"SKIP LOCKED": sql, "Redis Streams with the row": stream}


async def all_claims(claimer, runs):
    begun, durations = time.perf_counter(), []
    counts = await asyncio.gather(
        *(drain(claimer(f"node-{number}"), durations) for number in range(NODES))
    )
    assert sum(counts) == runs, counts
    return runs / (time.perf_counter() - begun), statistics.median(durations) * 1000


async def drain(claims, durations):
    """Claim until nothing is left; return how much was claimed."""
    total, begun = 0, time.perf_counter()
    async for count in claims:
        durations.append(time.perf_counter() - begun)
        total += count
        begun = time.perf_counter()
    return total


async def claim_in_sql(database, name):
    from agents.runs.queue import CLAIM_RUNS

    facts = {"worker": name, "limit": BATCH, "candidates": 4 * BATCH, "excluded": [], "lease": 60}
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        while True:
            cursor = await connection.execute(CLAIM_RUNS, facts)
            rows = await cursor.fetchall()
            if not rows:
                left = await connection.execute(
                    "SELECT count(*) FROM agents_run WHERE state = 'queued' AND worker = ''"
                )
                if (await left.fetchone())[0]:
                    continue
                return
            yield len(rows)


async def with_stream(redis_url, database, runs):
    async with Redis.from_url(redis_url) as client:
        await client.delete(STREAM)
        await client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        async with client.pipeline(transaction=False) as pipe:
            for number in range(1, runs + 1):
                pipe.xadd(STREAM, {"run": f"bench_{number}"})
            await pipe.execute()
        result = await all_claims(lambda name: claim_in_stream(client, database, name), runs)
        await client.delete(STREAM)
    return result


async def claim_in_stream(client, database, name):
    """The row must be updated too: it holds the lease and the state that clients read."""
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        while found := await client.xreadgroup(GROUP, name, {STREAM: ">"}, count=BATCH):
            ((_, entries),) = found
            ids = [fields[b"run"].decode() for _, fields in entries]
            await connection.execute(START_RUN, [name, ids])
            await client.xack(STREAM, GROUP, *(entry for entry, _ in entries))
            yield len(ids)


def main() -> None:
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings.console"
    import django

    django.setup()
    work = measure_claims(
        os.environ["DATABASE_URL"], os.environ["REDIS_URL"], runs=int(sys.argv[1])
    )
    print(json.dumps(asyncio.run(work)))


if __name__ == "__main__":
    main()
