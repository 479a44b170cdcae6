"""Processes under measurement: pinned to a core, watched for memory and CPU, ended by pid."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from tests.fixtures.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
UVICORN = (
    *(sys.executable, "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools"),
    *("--no-access-log", "--log-level", "warning", "--backlog", "4096", "--host", "127.0.0.1"),
)


class StartError(Exception):
    """A server did not come up. The message holds the end of what it printed."""


def cores() -> tuple[set[int], set[int]]:
    """The core of the server under test, and the cores of everything else."""
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    first, *rest = sorted(os.sched_getaffinity(0))
    return {first}, set(rest) or {first}


def pin(pid: int, where: set[int]) -> None:
    """Linux only; elsewhere the numbers are rougher."""
    if where:
        os.sched_setaffinity(pid, where)


@dataclass(slots=True)
class Server:
    """A process that listens on a loopback port."""

    name: str
    port: int
    process: psutil.Process

    @property
    def family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        times = [process.cpu_times() for process in self.family]
        return sum(each.user + each.system for each in times)

    def seconds_kept_waiting(self) -> float:
        """For its core, because others had it. Linux only; elsewhere 0."""
        stats = (Path(f"/proc/{process.pid}/schedstat") for process in self.family)
        return sum(int(stat.read_text().split()[1]) / 1e9 for stat in stats if stat.exists())

    def own_kb(self) -> float:
        """Memory that is nobody else's (USS), in KB of 1024 bytes."""
        return sum(process.memory_full_info().uss for process in self.family) / 1024

    def rss_mb(self) -> float:
        return sum(process.memory_info().rss for process in self.family) / 1e6


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    where: set[int],
    env: Mapping[str, str] | None = None,
    ready_path: str = "/health",
    patience: float = 30.0,
) -> Iterator[Server]:
    """Start `command`, wait until it answers, end it afterwards. Raises StartError."""
    log = ROOT / ".tenantry" / "bench" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as child,
    ):
        try:
            pin(child.pid, where)
            wait_until_ready(child, port=port, path=ready_path, patience=patience, log=log)
            yield Server(name=name, port=port, process=psutil.Process(child.pid))
        finally:
            end(child)


def wait_until_ready(
    child: subprocess.Popen[bytes], *, port: int, path: str, patience: float, log: Path
) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and child.poll() is None:
        if answers(port, path):
            return
        time.sleep(0.1)
    tail = log.read_text(errors="replace").strip()[-600:]
    raise StartError(f"does not answer at {path}: …{tail}" if tail else f"no answer at {path}")


def answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 400
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def end(child: subprocess.Popen[bytes]) -> None:
    """Politely, then not."""
    if child.poll() is not None:
        return
    children = psutil.Process(child.pid).children(recursive=True)
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
    for process in children:
        if process.is_running():
            process.kill()


@contextmanager
def upstream(where: set[int]) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("upstream.py")), "--port", str(port)]
    with running("upstream", command, port=port, where=where) as server:
        yield server


@contextmanager
def relay(where: set[int], engine: Server) -> Iterator[Server]:
    port = free_port()
    command = [*UVICORN, "--port", str(port), "tests.load.relay:application"]
    env = {"UPSTREAM": f"http://127.0.0.1:{engine.port}", "PYTHONPATH": str(ROOT)}
    with running("relay", command, port=port, where=where, env=env) as server:
        yield server
