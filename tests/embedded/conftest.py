"""Real processes to watch, and what they need to find the code."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PATH = os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "platform")))


def environment_with(home: Path) -> dict[str, str]:
    """A caller's environment without any of Tenantry's variables, and a home of its own.

    Bytecode is kept, as under `make`: compiling everything takes longer than starting it.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TENANTRY_", "DATABASE_", "REDIS_", "DJANGO_"))
        and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, "TENANTRY_HOME": str(home), "PYTHONPATH": PATH}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_with(tmp_path / "home")


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts a Python with arguments; whatever still runs at the end of the test is killed."""
    started = []

    def start_python(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=CHECKOUT,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start_python
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()
