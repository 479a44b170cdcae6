"""The official JavaScript client works unchanged against both APIs."""

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.fakes.model_server import Behaviour
from tests.fixtures.extras import missing

FOLDER = Path(__file__).resolve().parents[3] / "clients_js"
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")

LOCK = Path(tempfile.gettempdir()) / "tenantry-clients-js.lock"
"""Whoever comes first installs it; half of it is none."""

pytestmark = [pytest.mark.usefixtures("tiny"), pytest.mark.xdist_group("clients_js")]


@pytest.fixture(scope="session")
def node():
    """Node, with the client in the version that is locked."""
    found = shutil.which("node")
    if found is None or shutil.which("npm") is None:
        missing("node", "node and npm are not installed")
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_installed():
            install()
    return found


def install():
    try:
        subprocess.run(INSTALL, cwd=FOLDER, capture_output=True, timeout=90, check=True)
    except subprocess.SubprocessError as error:
        missing("node", f"npm cannot install the client: {error}: {(error.stderr or b'')[-300:]}")


def is_installed():
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]["openai"]
    there = FOLDER / "node_modules" / ".package-lock.json"  # what npm writes last
    if not there.exists():
        return False
    return json.loads(there.read_text())["packages"]["node_modules/openai"]["version"] == wanted


@pytest.fixture
def play(node, gateway, acme):
    """Plays a scenario of `scenarios.mjs`, and answers what it printed."""

    async def playing(scenario):
        env = {"PATH": os.environ["PATH"], "BASE_URL": f"{gateway.url}/v1", "API_KEY": acme.key}
        process = await asyncio.create_subprocess_exec(
            node, "scenarios.mjs", scenario, cwd=FOLDER, env=env, stdout=-1, stderr=-1
        )
        async with asyncio.timeout(30):
            said, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()[-2000:]
        return json.loads(said)

    return playing


async def test_it_chats(play, engine):
    engine.behave(Behaviour(tokens=3))

    told = await play("chat")

    assert told["text"] == "tok0 tok1 tok2"
    assert told["usage"]["completion_tokens"] == 3


async def test_it_streams_a_chat(play, engine):
    engine.behave(Behaviour(tokens=3, token_seconds=0.02))

    told = await play("chat_stream")

    assert told["text"] == "tok0 tok1 tok2"
    assert told["chunks"] > 3
    assert told["usage"]["completion_tokens"] == 3


async def test_it_creates_and_retrieves_a_response(play, engine):
    engine.behave(Behaviour(tokens=3))

    told = await play("response")

    assert told == {"text": "tok0 tok1 tok2", "again": "tok0 tok1 tok2", "status": "completed"}


async def test_it_streams_a_response(play, engine):
    engine.behave(Behaviour(tokens=5, token_seconds=0.02))

    told = await play("response_stream")

    assert (told["text"], told["end"]) == ("tok0 tok1 tok2 tok3 tok4", "response.completed")
    assert told["numbers"] == list(range(len(told["numbers"])))


async def test_its_stream_helper_puts_the_answer_together(play, engine):
    engine.behave(Behaviour(tokens=5))

    assert (await play("stream_helper"))["text"] == "tok0 tok1 tok2 tok3 tok4"


async def test_it_resumes_a_response(play, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.05))

    told = await play("resume")

    assert told["numbers"] == list(range(len(told["numbers"])))
    assert told["end"] == "response.completed"
    assert len(engine.records) == 1


async def test_it_knows_our_errors(play):
    told = await play("errors")

    assert {name: (each["kind"], each["status"], each["code"]) for name, each in told.items()} == {
        "key": ("AuthenticationError", 401, "invalid_api_key"),
        "model": ("NotFoundError", 404, "model_not_found"),
        "response": ("NotFoundError", 404, "not_found"),
        "parameter": ("BadRequestError", 400, "invalid_parameter"),
    }
    assert all(each["id"] for each in told.values())


def test_the_lock_names_no_registry():
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    (package,) = [each for name, each in lock["packages"].items() if name]

    assert package["integrity"].startswith("sha512-")
    assert package.get("resolved", "https://registry.npmjs.org/").startswith(
        "https://registry.npmjs.org/"
    )
