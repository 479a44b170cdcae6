"""A database server that runs beside us: what to watch, and how to stop it."""

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One running PostgreSQL or Valkey."""

    name: str
    pid: int
    url: str
    log: Path


def stop_server(server: Server) -> None:
    """Ask `server` to write its data and stop; after 15 s, end it. Returns when it is gone."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(server.pid)
        process.send_signal(stop_signal(process))
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def stop_signal(process: psutil.Process) -> signal.Signals:
    """SIGTERM, except for PostgreSQL, which would wait for its clients until they leave."""
    return signal.SIGINT if process.name() == "postgres" else signal.SIGTERM


def last_lines(log: Path, *, count: int = 12) -> str:
    """The end of a log for an error message; says so if there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"({log} cannot be read)"
    return "\n".join(f"  | {line}" for line in lines[-count:]) or f"({log} is empty)"
