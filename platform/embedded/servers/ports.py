"""The ports that a stack listens on: checked before it starts, claimed for as long as it runs.

Standard library only: `requirements/install.py` looks before it installs anything for `make run`,
so that a busy port is said at once.
"""

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from embedded.errors import CannotStart

DEFAULT_PORTS = {
    "TENANTRY_CONSOLE_PORT": 8000,
    "TENANTRY_GATEWAY_PORT": 8080,
    "TENANTRY_ENGINE_PORT": 8090,
}
MAX_PORT = 65535
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that a server is going to listen on, and the variable that moves it."""

    of: str
    host: str
    number: int
    variable: str


def stack_ports(*, bind: str, console: int, gateway: int, engine: int) -> list[Port]:
    """The three ports of a stack. The engine is for this machine only, wherever the others are."""
    return [
        Port(of="console", host=bind, number=console, variable="TENANTRY_CONSOLE_PORT"),
        Port(of="gateway", host=bind, number=gateway, variable="TENANTRY_GATEWAY_PORT"),
        Port(of="local model", host=LOOPBACK, number=engine, variable="TENANTRY_ENGINE_PORT"),
    ]


@contextmanager
def claimed_ports(ports: Iterable[Port], *, home: Path) -> Iterator[None]:
    """Keeps other stacks off `ports`, and raises CannotStart, naming all that cannot be had.

    A stack listens only after its migrations. Until then nothing but the claim tells a second one,
    with another folder, that the port is taken.
    """
    with ExitStack() as claims:
        problems: dict[Port, str] = {}
        for port in ports:
            problem = claim(port, claims=claims, home=home) or listener(port)
            if problem:
                problems[port] = problem
        if problems:
            raise CannotStart(explain(problems))
        yield


def require_free_ports(ports: Iterable[Port]) -> None:
    """Raises CannotStart, naming every port that another program listens on."""
    problems = {port: problem for port in ports if (problem := listener(port))}
    if problems:
        raise CannotStart(explain(problems))


def claim(port: Port, *, claims: ExitStack, home: Path) -> str:
    """Holds the claim file of `port` in `claims`; returns which stack has it, if one has."""
    path = Path(tempfile.gettempdir()) / f"tenantry-port-{port.number}.lock"
    try:
        file = claims.enter_context(path.open("a+", encoding="utf-8"))
    except OSError:
        # Left behind by another user. Whether the port itself is free is still looked at.
        return ""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"the stack of {owner(file)} uses it"
    file.truncate(0)
    file.write(f"{home} (process {os.getpid()})")
    file.flush()
    return ""


def owner(file: TextIO) -> str:
    file.seek(0)
    return file.read() or "another folder"


def listener(port: Port) -> str:
    """Why nothing can listen there; empty if something can."""
    with socket.socket() as probe:
        # Without it, connections of a stack that just stopped would still block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def explain(problems: Mapping[Port, str]) -> str:
    lines = [
        f"Port {port.number} on {port.host}, meant for the {port.of}, cannot be used ({problem})."
        for port, problem in problems.items()
    ]
    others = " ".join(f"{port.variable}={free_port_beside(port)}" for port in problems)
    few = len(problems) == 1
    advice = (
        f"Stop the program that listens there, or choose {'another port' if few else 'others'}: "
        f"{others} make run"
    )
    return "\n".join([*lines, advice])


def free_port_beside(port: Port) -> int:
    """A port that is free now and easy to remember: 9000 for 8000."""
    for number in range(port.number + 1000, MAX_PORT, 1000):
        if not listener(Port(of=port.of, host=port.host, number=number, variable="")):
            return number
    return port.number - 1000


def is_running(home: Path) -> bool:
    """Whether a stack holds the lock of this folder, or its remains are still being removed."""
    path = home / "up.lock"
    if not path.exists():
        return False
    with path.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def ports_from(environment: Mapping[str, str]) -> list[Port]:
    """The ports as the environment wants them. What is no number is left to `up` to refuse."""
    numbers = {
        name: int(text) if (text := environment.get(name, "")).isdigit() else default
        for name, default in DEFAULT_PORTS.items()
    }
    ports = stack_ports(
        bind=environment.get("TENANTRY_BIND", "") or LOOPBACK,
        console=numbers["TENANTRY_CONSOLE_PORT"],
        gateway=numbers["TENANTRY_GATEWAY_PORT"],
        engine=numbers["TENANTRY_ENGINE_PORT"],
    )
    return [port for port in ports if 0 < port.number <= MAX_PORT]


def require_ports_of(environment: Mapping[str, str]) -> None:
    """Raises CannotStart if a port is taken, unless it is by the stack of this very folder: `up`
    has a sentence of its own for that.
    """
    home = Path(environment.get("TENANTRY_HOME", "") or ".tenantry")
    if not is_running(home):
        require_free_ports(ports_from(environment))
