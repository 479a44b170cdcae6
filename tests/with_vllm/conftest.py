"""A real vLLM with the small model. Without one, tests skip, or fail if it is required."""

import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from embedded.errors import CannotStart
from embedded.servers.model import find_model
from tests.embedded.watching import wait_until
from tests.fixtures.extras import missing
from tests.fixtures.servers.serving import recording_console, serving

CONVERTER = Path(__file__).with_name("weights.py")
ROUTE = "smollm2"
READY_SECONDS = 240
OFFLINE = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
ONE_CORE = {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
"""Each engine that took all cores waited spinning for them, and one starved the other."""
ON_A_CPU = ("--enforce-eager", "--max-model-len", "2048")


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The interpreter of vLLM's environment."""
    python = os.environ.get("TENANTRY_VLLM_PYTHON", "")
    if not python:
        missing("vllm", "TENANTRY_VLLM_PYTHON names no interpreter that has vLLM.")
    look = "import importlib.util as u, sys; sys.exit(u.find_spec('vllm') is None)"
    if not shutil.which(python) or subprocess.run([python, "-c", look], check=False).returncode:
        missing("vllm", f"vLLM is not installed for {python}.")
    return python


@pytest.fixture(scope="session")
def model(vllm_python: str, tmp_path_factory) -> str:
    """A folder that vLLM reads: TENANTRY_VLLM_MODEL, or the small model's weights."""
    if folder := os.environ.get("TENANTRY_VLLM_MODEL"):
        return folder
    try:
        source = find_model()
    except CannotStart as error:
        missing("vllm", str(error))
    folder = tmp_path_factory.mktemp("weights")
    subprocess.run(
        [vllm_python, CONVERTER, source, folder],
        check=True,
        env={**os.environ, **OFFLINE},
    )
    return str(folder)


@pytest.fixture(scope="session")
def serve_model(vllm_python: str, model: str):
    """`serve_model` with the small model; `console` and what else `serving` wants are given."""

    def start(**how):
        arguments = (ROUTE, "--engine", "vllm", "--model", model, "--max-concurrency", "4")
        return serving(
            *(*arguments, "--vllm-python", vllm_python),
            options=ON_A_CPU,
            environment=OFFLINE | ONE_CORE,
            **how,
        )

    return start


@pytest.fixture(scope="module")
def start_engine(serve_model, tmp_path_factory):
    """Starts an engine with a console of its own; `until_heard` waits for it."""
    with ExitStack() as stack:

        def start():
            output = tmp_path_factory.mktemp("vllm") / "output"
            console = stack.enter_context(recording_console())
            url = f"http://127.0.0.1:{console.server_port}"
            return stack.enter_context(serve_model(console=url, output=output)), console

        yield start


def until_heard(engine, console):
    """Returns what the engine announced, once it has said that it is alive."""
    wait_until(
        lambda: len(console.heard) > 1 or engine.process.poll() is not None,
        seconds=READY_SECONDS,
    )
    assert engine.process.poll() is None, engine.said
    engine.look_around()
    return console.heard[0][1]


@pytest.fixture(scope="module")
def served(start_engine):
    """An engine for the tests of a file, and what it announced to a console."""
    engine, console = start_engine()
    until_heard(engine, console)
    return engine, console


@pytest.fixture(scope="module")
def replicas(start_engine):
    """Two engines for the tests of a file, each with what it announced."""
    started = [start_engine() for _ in range(2)]
    return [(engine, until_heard(engine, console)) for engine, console in started]
