"""A gateway with models for client libraries, and programs that use these libraries against it.

Without the libraries' environments the tests skip, or fail if they are required.
"""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from tests.agents.runs.test_agents_with_tools import employ, give
from tests.fakes.model_server import Behaviour, ModelServer, in_thread
from tests.fixtures.cast import serve
from tests.fixtures.extras import missing
from tests.fixtures.gateway import in_database
from tests.fixtures.limits.limits import own_rate

FOLDER = Path(__file__).parent
PROGRAMS, JS = FOLDER / "programs", FOLDER / "js"
PROGRAM_TIMEOUT_SECONDS = 280
CALL = [{"name": "add", "arguments": {"a": 2, "b": 3}}]
OWN_CALL = [{"name": "calc", "arguments": {"expression": "2+3"}}]
COMMAND = [{"name": "exec_command", "arguments": {"cmd": "expr 2 + 3"}}]
"""What Codex calls its shell."""
SAYINGS = {
    "talker": Behaviour(tokens=2),
    "caller": Behaviour(script=(CALL, "It is 5.")),
    "programmer": Behaviour(script=(COMMAND, "It is 5.")),
    "writer": Behaviour(script=('{"name": "Ada"}',)),
    "thinker": Behaviour(script=(OWN_CALL, "It is 5.")),
}
"""What each model says. `helper` is an agent with a tool, on `thinker`."""
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}
"""No library is to call home or to look anything up."""


@pytest.fixture
def models(transactional_db):
    """A server and a route for each model; the servers by name."""
    names = [*SAYINGS, "vectors"]
    servers = {name: ModelServer(behaviour=SAYINGS.get(name), models=(name,)) for name in names}
    entered = [in_thread(server) for server in servers.values()]
    for each in entered:
        each.__enter__()
    try:
        yield servers
    finally:
        for each in entered:
            each.__exit__(None, None, None)


@pytest.fixture
async def door(gateway, models, acme, rival):
    """The gateway, with every model served, an agent of acme, and rival at its limit."""
    for name in SAYINGS:
        await in_database(serve, models[name].url, model=name)
    await in_database(serve_vectors, models["vectors"].url)
    await in_database(hire_helper, acme)
    await in_database(own_rate, rival.tenant, requests_per_minute=1)
    async with asyncio.timeout(30):
        while (await gateway.chat(rival, model="talker")).status != 429:
            await asyncio.sleep(0.1)
    return gateway


def serve_vectors(address):
    pool = inference.create_pool(name="vectors", engine="vllm")
    static_endpoints.add_static_endpoint(pool=pool, address=address, model="vectors")
    inference.create_route(name="vectors", pool=pool, purpose="embeddings")


def hire_helper(member):
    from inference.models import ModelRoute

    give(member, "calc", kind="builtin", settings={"function": "calculator"})
    employ(member, ModelRoute.objects.get(name="thinker"), tools=["calc"])


@pytest.fixture
def run_program(door, acme, rival):
    """Runs a program with these variables, and answers what it printed."""

    async def running(*command, fails=False, **variables):
        env = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "BASE_URL": f"{door.url}/v1",
            "API_KEY": acme.key,
            "LIMITED_KEY": rival.key,
            **QUIET,
            **variables,
        }
        process = await asyncio.create_subprocess_exec(
            *command,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PROGRAM_TIMEOUT_SECONDS):
                printed, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert (process.returncode != 0) == fails, complaints.decode()
        print(complaints.decode()[-8000:])  # noqa: T201 - shown if the test fails
        return printed.decode()

    return running


@pytest.fixture
def play(run_program):
    """Runs a program, and answers the last line that it printed, which is JSON."""

    async def playing(*command):
        return json.loads((await run_program(*command)).splitlines()[-1])

    return playing


@pytest.fixture
def play_python(play):
    """The program of that name, with the interpreter that a variable names."""

    async def playing(program, interpreter):
        python = os.environ.get(interpreter, "")
        if not (python and shutil.which(python)):
            missing(
                "clients", f"{interpreter} names no interpreter. `make test-clients` makes one."
            )
        return await play(python, PROGRAMS / f"{program}.py")

    return playing


@pytest.fixture
def play_node(play):
    async def playing(program):
        node = shutil.which("node")
        if node is None or not (JS / "node_modules" / ".installed").exists():
            missing("node", "There is no Node with the libraries. `make test-clients` tries it.")
        return await play(node, JS / f"{program}.mjs")

    return playing
