"""What would fail later is refused before anything starts."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.errors import CannotStart
from embedded.preflight import Port, require_free_ports, require_free_space


@pytest.fixture
def occupied() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def port(number: int) -> Port:
    return Port(of="console", host="127.0.0.1", number=number, variable="TENANTRY_CONSOLE_PORT")


def test_a_port_in_use_is_named(occupied: int):
    with pytest.raises(CannotStart, match=f"Port {occupied} .* console"):
        require_free_ports([port(occupied)])


def test_so_is_the_variable_that_moves_it(occupied: int):
    with pytest.raises(CannotStart, match="TENANTRY_CONSOLE_PORT="):
        require_free_ports([port(occupied)])


def test_a_free_port_is_accepted(occupied: int):
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    require_free_ports([port(free)])


def test_a_full_disk_is_refused(tmp_path: Path):
    with pytest.raises(CannotStart, match="TENANTRY_HOME"):
        require_free_space(tmp_path, at_least=10**18)


def test_a_disk_with_space_is_accepted(tmp_path: Path):
    require_free_space(tmp_path, at_least=1)
