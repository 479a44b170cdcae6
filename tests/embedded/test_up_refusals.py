"""`manage.py up` refuses with a sentence that says how to mend it, and never with a trace."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.servers.ports import free_port

pytestmark = pytest.mark.slow

Run = Callable[..., "subprocess.CompletedProcess[str]"]
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def manage(environment: dict[str, str]) -> Run:
    """Runs a management command to its end, on ports that are free unless the test says so."""
    ports = {f"TENANTRY_{name}_PORT": str(free_port()) for name in ("CONSOLE", "GATEWAY", "ENGINE")}

    def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=CHECKOUT,
            env={**environment, **ports, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.mark.parametrize("name", ["CONSOLE", "GATEWAY", "ENGINE"])
def test_a_port_in_use(manage: Run, name: str):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        refused = manage("up", **{f"TENANTRY_{name}_PORT": port})
    assert refused.returncode == 1
    assert f"Port {port}" in refused.stderr
    assert f"TENANTRY_{name}_PORT=" in refused.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "mysql://127.0.0.1/tenantry"),
        ("DATABASE_URL", "postgresql://user:geheim@127.0.0.1:1/tenantry"),
        ("DATABASE_URL_FILE", "/does/not/exist"),
        ("REDIS_URL", "redis://:geheim@127.0.0.1:1/0"),
        ("TENANTRY_GATEWAY_PORT", "eighty"),
        ("TENANTRY_DRAIN_SECONDS", "-1"),
        ("TENANTRY_HOME", "/proc/nowhere"),
    ],
)
def test_a_setting_that_cannot_be_meant(manage: Run, variable: str, value: str):
    refused = manage("up", **{variable: value})
    assert refused.returncode == 1
    assert variable.removesuffix("_FILE") in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "geheim" not in refused.stderr


@pytest.mark.parametrize("command", ["check", "gateway", "seed_demo"])
def test_every_command_says_which_setting_is_missing(manage: Run, command: str):
    refused = manage(command)
    assert refused.returncode == 1
    assert "TENANTRY_SECRET_KEY is not set" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_serve_model_needs_a_join_token_and_nothing_else(manage: Run):
    refused = manage("serve_model", "route", "--model", "x")
    assert refused.returncode == 1
    assert "TENANTRY_JOIN_TOKEN is not set" in refused.stderr


def test_what_was_refused_leaves_no_server_behind(manage: Run, environment: dict[str, str]):
    manage("up", REDIS_URL="redis://127.0.0.1:1/0")
    assert not (Path(environment["TENANTRY_HOME"]) / "postgres").exists()
