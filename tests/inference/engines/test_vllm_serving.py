"""`serve_model --engine vllm` with a stand-in for vLLM: lookup, start and end."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.embedded.watching import wait_until
from tests.fakes import vllm_program
from tests.fixtures.servers.serving import Served, recording_console, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


@pytest.fixture
def console():
    with recording_console() as server:
        yield server


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Create an environment with a stand-in for vLLM, and return its interpreter."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {shlex.quote(vllm_program.__file__)} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture
def start(console, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start `serve_model`, and wait until it is registered or has ended."""
    with ExitStack() as stack:

        def start_serving(*arguments: str, **how) -> Served:
            url = f"http://127.0.0.1:{console.server_port}"
            begin = partial(serving, "tiny", "--model", "m", *arguments)
            served = stack.enter_context(begin(console=url, output=tmp_path / "output", **how))
            wait_until(lambda: len(console.heard) > 1 or served.process.poll() is not None)
            if served.process.poll() is None:
                served.look_around()
            return served

        yield start_serving


@pytest.fixture
def served(start, python: Path) -> Served:
    return start("--vllm-python", str(python))


def server_of(served: Served) -> psutil.Process:
    (server,) = [
        p for p in served.family if "vllm.entrypoints.openai.api_server" in p.cmdline()[2:4]
    ]
    return server


def test_it_runs_in_the_environment_that_the_option_names(served, console):
    assert console.heard[0][1]["engine_version"] == vllm_program.VERSION
    assert console.heard[1] == ("heartbeat", {"running": 0, "waiting": 0})


def test_it_runs_in_the_environment_that_the_variable_names(start, console, python):
    start(environment={"TENANTRY_VLLM_PYTHON": str(python)})
    assert console.heard[0][1]["engine_version"] == vllm_program.VERSION


def test_without_either_it_runs_beside_the_command_on_the_path(start, console, python):
    python.with_name("vllm").touch(mode=0o755)
    start(environment={"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"})
    assert console.heard[0][1]["engine_version"] == vllm_program.VERSION


def test_where_there_is_no_vllm_it_says_what_to_do(start, tmp_path: Path):
    served = start(environment={"PATH": str(tmp_path)})
    assert served.process.wait() == 1
    assert "vLLM is not on the PATH. Install vLLM into a separate environment" in served.said


def test_an_interpreter_that_is_not_there_is_named(start):
    served = start("--vllm-python", "/nowhere/python")
    assert served.process.wait() == 1
    assert "There is no interpreter /nowhere/python." in served.said


def test_what_stands_behind_the_dashes_is_passed_on(start, python):
    served = start("--vllm-python", str(python), options=("--max-model-len", "7", "-O0"))
    assert server_of(served).cmdline()[-3:] == ["--max-model-len", "7", "-O0"]


def test_the_engine_is_not_told_the_join_token(served):
    environment = server_of(served).environ()
    assert "VLLM_API_KEY" in environment
    assert not [name for name in environment if name.startswith("TENANTRY_")]


def test_told_to_stop_it_deregisters_and_leaves_nothing(served, console):
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=30) == 0
    assert console.heard[-1] == ("delete", None)
    assert served.is_gone()


def test_killed_it_leaves_nothing(served):
    served.process.kill()
    wait_until(served.is_gone)


def test_a_killed_server_is_told_of_and_its_worker_does_not_stay(served, console):
    server_of(served).kill()
    assert served.process.wait(timeout=30) == 1
    assert console.heard[-1] == ("delete", None)
    assert "The engine was ended by signal 9" in served.said
    assert served.is_gone()


def test_who_signals_everybody_still_leaves_nothing(served):
    for process in served.family:
        process.terminate()
    assert served.process.wait(timeout=30) == 1
    assert served.is_gone()


@pytest.mark.nightly
def test_an_engine_that_does_not_hear_is_killed(start, python):
    served = start("--vllm-python", str(python), options=("--deaf",))
    served.process.kill()
    wait_until(served.is_gone, seconds=40)
