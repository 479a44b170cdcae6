"""Runs the stack's processes until a stop is requested.

A process that ends before the stack is ready stops the stack; one that ends later is restarted.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO

from embedded.servers.server import last_lines
from kernel.backoff import Backoff

TAIL_LINES = 15
READY = "\0ready"
"""The line with which the monitor reports that every part is ready. It is not printed."""
MAX_FAILURES = 10
"""Maximum of failed restarts of one process in a row. One more stops the stack."""
POLL_SECONDS = 0.1
WATCH = "watch"
"""Name of the monitor, the only process whose output is printed in the terminal."""
EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    after_ready: bool = False
    """Whether to start it after the others are ready, so that it does not delay them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The process whose end stopped the stack."""

    name: str
    exit_code: int
    last_lines: str
    failures: int = 0
    """Number of failed restarts in a row."""

    def message(self, logs: Path) -> str:
        if self.name == WATCH:
            return "The stack was stopped."
        repeated = f" {self.failures} times soon after its start" if self.failures else ""
        return (
            f"The {self.name} {describe_exit(self.exit_code)}{repeated}, so the stack was stopped."
            f" Its last lines:\n{self.last_lines}\nThe log is {log_path(logs, self.name)}"
        )


def describe_exit(exit_code: int) -> str:
    if exit_code < 0:
        return f"was killed by signal {-exit_code}"
    return f"ended with exit code {exit_code}"


def log_path(logs: Path, name: str) -> Path:
    return logs / f"{name}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The exit code of the stack, and the crash if there was one."""

    exit_code: int
    crash: Crash | None


@dataclass(slots=True, kw_only=True)
class ManagedProcess:
    """A program with its current process, which leads a process group of its own."""

    program: Program
    environment: Mapping[str, str]
    folder: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    """Monotonic time of the last start."""
    restart_at: float | None = None
    """Monotonic time of the next start, if a restart is scheduled."""
    backoff: Backoff = field(default_factory=Backoff)

    def start(self) -> None:
        """Start the process. Its output goes to its log; that of the monitor goes to a pipe."""
        self.restart_at, self.started_at = None, time.monotonic()
        if self.program.name == WATCH:
            self.process = self._open(subprocess.PIPE)
        else:
            with self.log.open("ab") as log:
                self.process = self._open(log)

    def _open(self, output: BinaryIO | int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.program.command,
            env=dict(self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def restart(self) -> None:
        self.send(signal.SIGKILL)  # to remaining children of the ended process
        self.start()

    def schedule_restart(self) -> float:
        """Schedule the next start and return the seconds until then."""
        now = time.monotonic()
        pause = self.backoff.pause(lived=now - self.started_at)
        self.restart_at = now + pause
        return pause

    @property
    def exit_code(self) -> int | None:
        """None while the process runs, and before its first start."""
        return self.process.poll() if self.process else None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Signal the process group, if it still exists."""
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """Starts the children, restarts those that end, and stops all of them."""

    children: list[ManagedProcess]
    stop_seconds: float
    is_ready: bool = False
    """Whether the monitor has reported that every part is ready."""
    stop_signal: signal.Signals | None = None
    """The signal that requested the stop."""
    crashed: ManagedProcess | None = None
    _unread: bytes = b""
    """The incomplete last line of the monitor's output."""

    def run(self) -> None:
        """Run until a stop is requested or a process stops the stack, then end all processes."""
        # The handlers only store the signal: an exception raised in a handler can be lost.
        signal.signal(signal.SIGTERM, self._request_stop)
        signal.signal(signal.SIGINT, self._request_stop)
        for child in self.children:
            if not child.program.after_ready:
                child.start()
        while self.stop_signal is None and self.crashed is None:
            self._read_monitor()
            self._start_waiting()
            self.crashed = next(filter(self._stops_the_stack, self.children), None)
        self._stop()

    def _request_stop(self, number: int, _frame: object) -> None:
        self.stop_signal = self.stop_signal or signal.Signals(number)

    def _read_monitor(self) -> None:
        """Print the output of the monitor of one poll interval."""
        output = self._monitor_output
        if output is None:
            time.sleep(POLL_SECONDS)
        elif select.select([output], [], [], POLL_SECONDS)[0]:
            data = os.read(output.fileno(), 65536)
            if not data:  # the monitor has ended, so `select` returns at once
                time.sleep(POLL_SECONDS)
            *lines, self._unread = (self._unread + data).split(b"\n")
            for line in lines:
                self._show(line.decode("utf-8", "replace"))

    @property
    def _monitor_output(self) -> IO[bytes] | None:
        processes = (child.process for child in self.children if child.program.name == WATCH)
        return next((process.stdout for process in processes if process), None)

    def _show(self, line: str) -> None:
        if line == READY:
            self.is_ready = True
        else:
            print(line, flush=True)

    def _start_waiting(self) -> None:
        """Start the children with `after_ready`, once the stack is ready."""
        if self.is_ready:
            for child in self.children:
                if child.process is None:
                    child.start()

    def _stops_the_stack(self, child: ManagedProcess) -> bool:
        """Return whether `child` has ended and stops the stack; else restart it when due."""
        exit_code = child.exit_code
        if exit_code is None:
            return False
        if child.program.name == WATCH or not self.is_ready:
            return True
        if child.restart_at is None:
            pause = child.schedule_restart()
            if child.backoff.failures > MAX_FAILURES:
                return True
            print(
                f"The {child.program.name} {describe_exit(exit_code)}. It restarts in "
                f"{pause:g} s; its log is {child.log}",
                flush=True,
            )
        elif time.monotonic() >= child.restart_at:
            child.restart()
        return False

    def _stop(self) -> None:
        """Send SIGTERM to all processes; kill those that still run after `stop_seconds`."""
        self._read_monitor()
        print("\nStopping …", flush=True)
        kill_at = time.monotonic() + self.stop_seconds
        for child in self.children:
            if child.is_running:
                child.send(signal.SIGTERM)
        while running := [child for child in self.children if child.is_running]:
            if time.monotonic() >= kill_at:
                for child in running:
                    child.send(signal.SIGKILL)
            self._read_monitor()

    def ending(self) -> Ending:
        if self.crashed is None:
            code = EXIT_CODES[self.stop_signal] if self.stop_signal else 0
            return Ending(exit_code=code, crash=None)
        child = self.crashed
        crash = Crash(
            name=child.program.name,
            exit_code=child.exit_code or 0,
            last_lines=last_lines(child.log, count=TAIL_LINES),
            failures=child.backoff.failures,
        )
        return Ending(exit_code=1, crash=crash)


def run_programs(
    programs: Iterable[Program],
    *,
    environment: Mapping[str, str],
    folder: Path,
    logs: Path,
    stop_seconds: float,
) -> Ending:
    """Run `programs` until SIGINT or SIGTERM arrives, then stop them.

    They are also stopped if one ends before all are ready, if the monitor ends, and if one fails
    more than MAX_FAILURES times in a row.

    A process that still runs `stop_seconds` after the request to stop is killed. Existing logs are
    overwritten.
    """
    children = [
        ManagedProcess(
            program=program,
            environment=environment,
            folder=folder,
            log=log_path(logs, program.name),
        )
        for program in programs
    ]
    for child in children:
        child.log.unlink(missing_ok=True)
    supervisor = Supervisor(children=children, stop_seconds=stop_seconds)
    supervisor.run()
    return supervisor.ending()
