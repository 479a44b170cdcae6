"""PostgreSQL hangs: known keys go on, nothing is lost, and nothing is counted twice.

Servers of their own, stopped as if their machine hung; the gateway is a process.
"""

import asyncio
import json
import os
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import psutil
import psycopg
import pytest

from embedded.servers.postgres import start_postgres
from tests.fakes.model_server import Behaviour, ModelServer
from tests.fixtures.gateway import eventually
from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.processes import gateway_process
from tests.fixtures.servers.stopping import stopped
from tests.fixtures.servers.valkey import valkey_process
from tests.load import stack

pytestmark = pytest.mark.slow

SEED = Path(stack.__file__).with_name("seed.py")
BODY = {"model": "bench", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
COUNT = "SELECT count(*), count(DISTINCT request_id) FROM tenants_usageevent"
BALANCE = """
    SELECT (SELECT coalesce(sum((charge->>'amount')::bigint), 0)
            FROM tenants_usageevent, jsonb_array_elements(charges) AS charge),
           (SELECT coalesce(sum(used), 0) FROM tenants_quotausage)
"""


ANOTHER_KEY = """
import django; django.setup()
from tenants import services
tenant = services.create_tenant(slug="rival", name="Rival")
print(services.issue_key(tenant=tenant, name="never seen").secret)
"""


def ask_database(env, query):
    with psycopg.connect(env["DATABASE_URL"], autocommit=True) as database:
        return database.execute(query).fetchone()


@pytest.fixture
def servers():
    """PostgreSQL and Valkey of this test alone, migrated."""
    port = free_port()
    # Not below pytest's own folder: the server runs as a user of its own when we are root.
    with (
        tempfile.TemporaryDirectory(prefix="tenantry-outage-") as folder,
        valkey_process(port) as cache,
    ):
        home = Path(folder)
        home.chmod(0o755)
        database = start_postgres(home / "postgres")
        try:
            env = stack.environment(home, database.url, f"redis://127.0.0.1:{port}/0")
            stack.manage(env, "migrate", "--verbosity", "0")
            yield env, database.pid, cache.pid
        finally:
            os.kill(database.pid, signal.SIGINT)
            psutil.Process(database.pid).wait(timeout=20)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("with_redis", [True, False], ids=["redis_runs", "redis_hangs_too"])
@pytest.mark.parametrize("seconds", [8, pytest.param(60, marks=pytest.mark.nightly)])
async def test_known_keys_go_on_and_the_ledger_is_complete_afterwards(
    tmp_path, servers, seconds, with_redis
):
    env, database, cache = servers
    async with ModelServer(behaviour=Behaviour(tokens=8), models=("bench",)) as engine:
        printed = await asyncio.to_thread(stack.finish, env, str(SEED), engine.url)
        key = json.loads(printed.splitlines()[-1])["api_key"]
        unknown = await asyncio.to_thread(stack.finish, env, "-c", ANOTHER_KEY)
        secrets = {name: env[name] for name in env if name.startswith("TENANTRY_")}
        del secrets["TENANTRY_HOME"]
        with gateway_process(
            tmp_path / "gateway",
            redis_url=env["REDIS_URL"],
            database_url=env["DATABASE_URL"],
            **secrets,
        ) as worker:
            url = worker.url + "/v1/chat/completions"
            async with aiohttp.ClientSession() as session:

                async def ask(text, **facts):
                    headers = {"authorization": f"Bearer {text}"}
                    async with session.post(url, json=BODY, headers=headers, **facts) as answer:
                        return answer.status

                statuses = [await ask(key) for _ in range(20)]
                with ExitStack() as hanging:
                    hanging.enter_context(stopped(database))
                    if not with_redis:
                        hanging.enter_context(stopped(cache))
                    loop = asyncio.get_running_loop()
                    until = loop.time() + seconds
                    while loop.time() < until:
                        statuses.append(await ask(key))
                        await asyncio.sleep(0.02)
                    assert await ask(unknown.strip()) == 503
                statuses += [await ask(key) for _ in range(20)]
            assert set(statuses) == {200}
            assert len(engine.records) == len(statuses)
            await eventually(
                lambda: ask_database(env, COUNT) == (len(statuses), len(statuses)), within=30
            )
            charged, used = ask_database(env, BALANCE)
            assert charged == used > 0
