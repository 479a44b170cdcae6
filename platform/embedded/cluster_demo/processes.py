"""The processes of the demonstration: a stack of its own, and two more agent nodes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from embedded.errors import CannotStart
from embedded.readiness import PARTS, get, ready_parts
from embedded.servers.server import last_lines
from embedded.state_dir import Home
from kernel.env_file import read_env_file

START_TIMEOUT_SECONDS = 240.0
"""Maximum time to start the stack, on a slow machine and with an empty folder."""
STOP_TIMEOUT_SECONDS = 40.0
POLL_SECONDS = 0.25
RESTART_PAUSE_SECONDS = 2.0


@dataclass(slots=True, kw_only=True)
class ManagedCommand:
    """A management command in a process group of its own."""

    arguments: tuple[str, ...]
    checkout: Path
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", *self.arguments],
                cwd=self.checkout,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ensure_running(self) -> None:
        """Raise CannotStart with the end of the log if the process has ended."""
        if self.process is not None and self.process.poll() is not None:
            raise CannotStart(
                f"`manage.py {' '.join(self.arguments)}` has ended. Its last lines:\n"
                f"{last_lines(self.log)}\nThe log is {self.log}"
            )

    def kill(self) -> None:
        """Kill the process and its children, as the kernel does when memory is short."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        """Request the end, and kill what has not ended after 40 seconds."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout=STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running_stack(home: Home, checkout: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Start the stack of `manage.py up`, wait until it is ready, and stop it at the end.

    Raises CannotStart.
    """
    # The addresses of an earlier start would be asked.
    home.demo.unlink(missing_ok=True)
    stack = ManagedCommand(
        arguments=("up",),
        checkout=checkout,
        environment=environment,
        log=home.logs / "up.log",
    )
    stack.log.unlink(missing_ok=True)
    stack.start()
    try:
        wait_until_ready(stack, home)
        yield
    finally:
        stack.stop()


def wait_until_ready(stack: ManagedCommand, home: Home) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        stack.ensure_running()
        addresses = read_env_file(home.demo)
        if addresses and len(ready_parts(addresses)) == len(PARTS):
            return
        time.sleep(POLL_SECONDS)
    raise CannotStart(f"The stack was not ready in time. Its log is {stack.log}")


@contextmanager
def running_node(name: str, command: ManagedCommand, port: int) -> Iterator[ManagedCommand]:
    """Start an agent node, wait until it is ready, and stop it at the end. Raises CannotStart."""
    try:
        start_node(name, command, port)
        yield command
    finally:
        command.stop()


def start_node(name: str, command: ManagedCommand, port: int) -> float:
    """Start an agent node and return the seconds until it is ready. Raises CannotStart."""
    started = time.monotonic()
    command.start()
    while not get(f"http://127.0.0.1:{port}/readyz"):
        command.ensure_running()
        ensure_in_time(name, command, started)
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def restart_node(name: str, command: ManagedCommand, port: int) -> float:
    """Start a node that was killed, again and again until it is ready, as a supervisor does: its
    name is free when its last heartbeat is 15 seconds old. Returns the seconds until it is ready.

    Raises CannotStart.
    """
    started = time.monotonic()
    while True:
        try:
            start_node(name, command, port)
            return time.monotonic() - started
        except CannotStart:
            ensure_in_time(name, command, started)
            time.sleep(RESTART_PAUSE_SECONDS)


def ensure_in_time(name: str, command: ManagedCommand, started: float) -> None:
    if time.monotonic() > started + START_TIMEOUT_SECONDS:
        raise CannotStart(f"{name} was not ready in time. Its log is {command.log}")
