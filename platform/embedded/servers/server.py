"""A running database server of the embedded stack."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_TIMEOUT_SECONDS = 15.0
MAX_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProgram:
    """One running PostgreSQL or Valkey."""

    name: str
    pid: int
    url: str
    log: Path


def stop_server(server: ServerProgram) -> None:
    """Stop `server` and wait until it has ended; after 15 s kill it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(server.pid)
        process.send_signal(stop_signal(process))
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_SECONDS)


def stop_signal(process: psutil.Process) -> signal.Signals:
    """Return SIGTERM, or SIGINT for PostgreSQL: its SIGTERM waits for clients to disconnect."""
    return signal.SIGINT if process.name() == "postgres" else signal.SIGTERM


def last_lines(log: Path, *, count: int = 12) -> str:
    """Return the end of a log for an error message, or that it is empty or cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return f"({log} cannot be read)"
    return "\n".join(f"  | {line}" for line in lines[-count:]) or f"({log} is empty)"
