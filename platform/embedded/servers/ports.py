"""The ports of a stack, which are checked before it starts and claimed while it runs.

Standard library only: `requirements/install.py` checks the ports before it installs anything for
`make run`, so that a port in use is reported at once.
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
    "TENANTRY_NODE_PORT": 8081,
}
MAX_PORT = 65535
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port of the stack, and the environment variable that sets it."""

    of: str
    host: str
    number: int
    variable: str


def stack_ports(*, bind: str, console: int, gateway: int, engine: int, node: int) -> list[Port]:
    """Return the four ports of a stack. The engine always listens on the loopback address."""
    return [
        Port(of="console", host=bind, number=console, variable="TENANTRY_CONSOLE_PORT"),
        Port(of="gateway", host=bind, number=gateway, variable="TENANTRY_GATEWAY_PORT"),
        Port(of="agent node", host=bind, number=node, variable="TENANTRY_NODE_PORT"),
        Port(of="local model", host=LOOPBACK, number=engine, variable="TENANTRY_ENGINE_PORT"),
    ]


@contextmanager
def claimed_ports(ports: Iterable[Port], *, home: Path) -> Iterator[None]:
    """Claim `ports` against other stacks. Raises CannotStart with all ports that are not free.

    A stack listens only after its migrations. Until then only the claim prevents a second stack,
    with another folder, from choosing the same port.
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
    """Raise CannotStart if another program listens on a port; the message names all of them."""
    problems = {port: problem for port in ports if (problem := listener(port))}
    if problems:
        raise CannotStart(explain(problems))


def claim(port: Port, *, claims: ExitStack, home: Path) -> str:
    """Lock the claim file of `port`, and return the problem; empty if there is none."""
    path = Path(tempfile.gettempdir()) / f"tenantry-port-{port.number}.lock"
    try:
        file = claims.enter_context(path.open("a+", encoding="utf-8"))
    except OSError:
        # The file belongs to another user. `listener` still checks the port itself.
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
    """Return why no socket can listen there; empty if one can."""
    with socket.socket() as probe:
        # Otherwise connections in TIME_WAIT of a stopped stack would block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.host, port.number))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def explain(problems: Mapping[Port, str]) -> str:
    lines = [
        f"Port {port.number} on {port.host} for the {port.of} cannot be used ({problem})."
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
    """Return a port that is free now and easy to remember: 9000 for 8000."""
    for number in range(port.number + 1000, MAX_PORT, 1000):
        if not listener(Port(of=port.of, host=port.host, number=number, variable="")):
            return number
    return port.number - 1000


def is_running(home: Path) -> bool:
    """Return whether a stack, or the reaper of one, holds the lock of this folder."""
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
    """Return the ports in the environment. Invalid numbers are omitted: `up` reports them."""
    numbers = {
        name: int(text) if (text := environment.get(name, "")).isdigit() else default
        for name, default in DEFAULT_PORTS.items()
    }
    ports = stack_ports(
        bind=environment.get("TENANTRY_BIND", "") or LOOPBACK,
        console=numbers["TENANTRY_CONSOLE_PORT"],
        gateway=numbers["TENANTRY_GATEWAY_PORT"],
        engine=numbers["TENANTRY_ENGINE_PORT"],
        node=numbers["TENANTRY_NODE_PORT"],
    )
    return [port for port in ports if 0 < port.number <= MAX_PORT]


def require_ports_of(environment: Mapping[str, str]) -> None:
    """Raise CannotStart if a port is in use, unless a stack already runs in the same folder.

    `up` reports the latter with a better message.
    """
    home = Path(environment.get("TENANTRY_HOME", "") or ".tenantry")
    if not is_running(home):
        require_free_ports(ports_from(environment))
