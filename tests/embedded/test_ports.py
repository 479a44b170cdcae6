"""Every port that cannot be had is named at once, before anything is installed or started."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedded.errors import CannotStart
from embedded.servers.ports import Port, claimed_ports, require_free_ports
from tests.fixtures.servers.ports import free_port

CLAIMER = """
import sys, time
from pathlib import Path
from embedded.servers.ports import Port, claimed_ports
port = Port(of="console", host="127.0.0.1", number=int(sys.argv[1]), variable="V")
with claimed_ports([port], home=Path("/stack/one")):
    print("claimed", flush=True)
    time.sleep(600)
"""

CHECKOUT = Path(__file__).resolve().parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def occupied() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    return free_port()


def console(number: int) -> Port:
    return Port(of="console", host="127.0.0.1", number=number, variable="TENANTRY_CONSOLE_PORT")


def gateway(number: int) -> Port:
    return Port(of="gateway", host="127.0.0.1", number=number, variable="TENANTRY_GATEWAY_PORT")


def test_a_port_in_use_is_named(occupied: int):
    with pytest.raises(CannotStart, match=f"Port {occupied} .* console"):
        require_free_ports([console(occupied)])


def test_so_is_the_variable_that_moves_it(occupied: int):
    with pytest.raises(CannotStart, match="TENANTRY_CONSOLE_PORT="):
        require_free_ports([console(occupied)])


def test_a_free_port_is_accepted(free: int):
    require_free_ports([console(free)])


def test_all_ports_in_use_are_named_at_once(occupied: int):
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(CannotStart) as refused,
    ):
        require_free_ports([console(occupied), gateway(other.getsockname()[1])])
    assert "for the console cannot be used" in str(refused.value)
    assert "for the gateway cannot be used" in str(refused.value)


def test_a_stack_that_does_not_listen_yet_keeps_its_ports(start: Start, free: int, tmp_path: Path):
    first = start("-c", CLAIMER, str(free))
    assert first.stdout is not None
    assert first.stdout.readline() == "claimed\n"
    with (
        pytest.raises(CannotStart, match=rf"the stack of /stack/one \(process {first.pid}\)"),
        claimed_ports([console(free)], home=tmp_path),
    ):
        pytest.fail("both stacks have the port")


def test_a_killed_stack_keeps_no_port(start: Start, free: int, tmp_path: Path):
    first = start("-c", CLAIMER, str(free))
    assert first.stdout is not None
    assert first.stdout.readline() == "claimed\n"
    first.kill()
    first.wait()
    with claimed_ports([console(free)], home=tmp_path):
        pass


def test_they_are_looked_at_before_anything_is_installed(occupied: int, free: int, tmp_path: Path):
    ports = {"TENANTRY_CONSOLE_PORT": str(occupied), "TENANTRY_GATEWAY_PORT": str(occupied)}
    refused = subprocess.run(
        [sys.executable, "-I", "-S", CHECKOUT / "requirements" / "install.py", "embedded"],
        env={
            "PATH": "/usr/bin:/bin",
            "TENANTRY_ENGINE_PORT": str(free),
            "TENANTRY_NODE_PORT": str(free),
            **ports,
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 1
    assert "for the console cannot be used" in refused.stderr
    assert "for the gateway cannot be used" in refused.stderr
    assert "local model" not in refused.stderr
