"""Runs the stack's processes side by side (honcho) until somebody says stop.

What ends before the stack is ready stops it, with the reason. Later it is started again.
"""

import contextlib
import multiprocessing
import os
import shlex
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import honcho.manager
from honcho.printer import Message, Printer

from kernel.backoff import Backoff

TAIL_LINES = 15
READY = "\0ready"
"""The line with which the watch says that everything answers; not shown."""
MAX_FAILURES = 10
"""Of one process in a row, each soon after its start. Then everything is stopped."""
START_SECONDS = 5.0
"""For a process that is being started, when everything is to stop."""
WATCH = "watch"
"""The one process whose lines are meant for the person at the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    after_ready: bool = False
    """Started when the others answer, so that it does not slow their start down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The process that ended unasked and took the rest with it."""

    name: str
    exit_code: int
    last_lines: tuple[str, ...]
    failures: int = 0
    """How often it was started again in vain."""

    def sentence(self, logs: Path) -> str:
        if self.name == WATCH:
            return "Everything was stopped."
        lines = "\n".join(f"  | {line}" for line in self.last_lines) or "  | (it said nothing)"
        again = f" {self.failures} times soon after its start" if self.failures else ""
        return (
            f"The {self.name} {how_it_ended(self.exit_code)}{again}, so everything was stopped."
            f" Its last lines:\n{lines}\nAll of them are in {logs / self.name}.log"
        )


def how_it_ended(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by signal {-exit_code}"
    return f"ended with exit code {exit_code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How it ended: the exit code to leave with, and the crash if there was one."""

    exit_code: int
    crash: Crash | None


@dataclass(slots=True, kw_only=True)
class Logs:
    """Writes each process's lines to its own file, and remembers the last of them."""

    folder: Path
    files: dict[str, TextIO] = field(default_factory=dict)
    tails: dict[str, deque[str]] = field(default_factory=dict)

    def add(self, name: str, line: str) -> None:
        if name not in self.files:
            path = self.folder / f"{name}.log"
            self.files[name] = path.open("w", encoding="utf-8", buffering=1)
            self.tails[name] = deque(maxlen=TAIL_LINES)
        self.files[name].write(f"{line}\n")
        self.tails[name].append(line)

    def close(self) -> None:
        for file in self.files.values():
            file.close()


class LogPrinter(Printer):  # type: ignore[misc]  # honcho ships no types
    """Sends lines to their logs; to the terminal only what a person should read there."""

    def __init__(self, logs: Logs) -> None:
        super().__init__(sys.stdout)
        self.logs = logs
        self.is_ready = False
        """Whether everything has answered once."""

    def write(self, message: Message) -> None:
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        for line in text.splitlines():
            if message.name == WATCH and line == READY:
                self.is_ready = True
            elif message.name == WATCH:
                print(line, flush=True)
            else:
                self.logs.add(message.name, line)


@dataclass(slots=True, kw_only=True)
class Restarts:
    """When one process was started, and when it is to be started again."""

    started: float = field(default_factory=time.monotonic)
    backoff: Backoff = field(default_factory=Backoff)
    due: float | None = None

    def plan(self) -> float:
        """Seconds until its next start, now that it has ended."""
        now = time.monotonic()
        pause = self.backoff.pause(lived=now - self.started)
        self.due = now + pause
        return pause

    @property
    def is_due(self) -> bool:
        return self.due is not None and time.monotonic() >= self.due


class Supervisor(honcho.manager.Manager):  # type: ignore[misc]  # honcho ships no types
    """honcho's manager, which starts again what ends, and remembers what could not be."""

    first: tuple[str, int] | None = None
    """The process for which everything was stopped, and its exit code."""

    def __init__(self, printer: LogPrinter) -> None:
        super().__init__(printer)
        self._restarts: dict[str, Restarts] = {}
        self._later: dict[str, dict[str, Any]] = {}
        self._stop_asked: float | None = None
        """When, if somebody has."""
        self._may_stop = False

    def add_program(
        self, program: Program, *, environment: Mapping[str, str], folder: Path
    ) -> None:
        """Before the loop."""
        # `exec`: honcho's shell becomes the program, so that signals and exit codes are its own.
        command = f"exec {shlex.join(program.command)}"
        self.add_process(program.name, command, env=dict(environment), cwd=str(folder))
        if program.after_ready:
            self._later[program.name] = self._processes.pop(program.name)

    def failures(self, name: str) -> int:
        """How often it ended soon after it was started again."""
        known = self._restarts.get(name)
        return known.backoff.failures if known else 0

    def terminate(self) -> None:
        """Stop everything. A signal handler, from which honcho calls this too, only leaves word:
        what is raised there may be lost, since Python ignores what hooks of a fork raise.
        """
        if not self._may_stop:
            self._stop_asked = self._stop_asked or time.monotonic()
        elif not self._terminating:
            print("\nStopping …", flush=True)
            super().terminate()

    def _any_stopped(self) -> bool:
        """Whether to stop everything: honcho asks it all the time, so starts happen here too."""
        if self._terminating:
            stopped: bool = super()._any_stopped()
            return stopped
        self._may_stop = self._stop_asked is not None or self._has_lost_one()
        if not self._may_stop and self._printer.is_ready and self._later:
            self._start_later()
        return self._may_stop

    def _has_lost_one(self) -> bool:
        """Whether a process has ended without which nothing goes on. Others are started again."""
        for name, process in self._processes.items():
            exit_code = process.get("returncode")
            if exit_code is not None and not self._goes_on_without(name, exit_code):
                self.first = (name, exit_code)
                return True
        return False

    def _all_started(self) -> bool:
        started: bool = super()._all_started()
        if started or self._stop_asked is None:
            return started
        if time.monotonic() - self._stop_asked > START_SECONDS:
            # One that never started cannot be stopped in order: leave, and the reaper ends all.
            sys.exit(self.returncode or 1)
        return False

    def _all_stopped(self) -> bool:
        """What waits for its next start has not stopped."""
        return self._terminating and bool(super()._all_stopped())

    def _goes_on_without(self, name: str, exit_code: int) -> bool:
        """Start it again, once it is time. False if that is in vain."""
        if name == WATCH or not self._printer.is_ready:
            return False
        restarts = self._restarts.setdefault(name, Restarts(started=0.0))
        if restarts.due is None:
            self.returncode = None  # honcho keeps that of the first that ends
            pause = restarts.plan()
            if restarts.backoff.failures > MAX_FAILURES:
                return False
            print(
                f"The {name} {how_it_ended(exit_code)}. It starts again in {pause:g} s; its lines "
                f"are in {self._printer.logs.folder / name}.log",
                flush=True,
            )
        elif restarts.is_due:
            self._start_again(name, restarts)
        return True

    def _start_again(self, name: str, restarts: Restarts) -> None:
        process = self._processes[name]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process["pid"], signal.SIGKILL)  # what it may have left behind
        del process["returncode"]
        process["pid"] = None
        restarts.due, restarts.started = None, time.monotonic()
        self._launch(name)

    def _start_later(self) -> None:
        """Start what was to wait until the others answer."""
        later, self._later = self._later, {}
        self._processes.update(later)
        for name in later:
            self._launch(name)

    def _launch(self, name: str) -> None:
        process = self._processes[name]
        run = process["obj"].run
        process["process"] = multiprocessing.Process(
            name=name, target=run, args=(self.events, True)
        )
        process["process"].start()


def run_programs(
    programs: Iterable[Program],
    *,
    environment: Mapping[str, str],
    folder: Path,
    logs: Path,
    stop_seconds: float,
) -> Ending:
    """Run `programs` until SIGINT or SIGTERM comes, then stop them.

    It also stops them when one ends before the watch has said that all are ready, when the watch
    ends, and when one cannot be started again.

    Whoever has not stopped `stop_seconds` after the first one has is killed.
    """
    # honcho knows no other way to say how long a graceful stop may take.
    honcho.manager.KILL_WAIT = stop_seconds
    written = Logs(folder=logs)
    supervisor = Supervisor(LogPrinter(written))
    for program in programs:
        supervisor.add_program(program, environment=environment, folder=folder)
    try:
        supervisor.loop()
    finally:
        written.close()
    return ending(supervisor, written)


def ending(supervisor: Supervisor, logs: Logs) -> Ending:
    if supervisor.first is None:
        return Ending(exit_code=supervisor.returncode or 0, crash=None)
    name, exit_code = supervisor.first
    tail = tuple(logs.tails.get(name, ()))
    crash = Crash(
        name=name, exit_code=exit_code, last_lines=tail, failures=supervisor.failures(name)
    )
    return Ending(exit_code=1, crash=crash)
