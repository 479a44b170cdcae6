"""Runs the stack's processes side by side (honcho) until one of them ends or somebody says stop."""

import shlex
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import honcho.manager
from honcho.printer import Message, Printer

TAIL_LINES = 15
WATCH = "watch"
"""The one process whose lines are meant for the person at the terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The process that ended first, unasked, and took the rest with it."""

    name: str
    exit_code: int
    last_lines: tuple[str, ...]

    def sentence(self, logs: Path) -> str:
        if self.name == WATCH:
            return "Everything was stopped."
        how = f"was ended by signal {-self.exit_code}" if self.exit_code < 0 else "ended"
        code = "" if self.exit_code < 0 else f" with exit code {self.exit_code}"
        lines = "\n".join(f"  | {line}" for line in self.last_lines) or "  | (it said nothing)"
        return (
            f"The {self.name} {how}{code}, so everything was stopped. Its last lines:\n{lines}\n"
            f"All of them are in {logs / self.name}.log"
        )


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

    def write(self, message: Message) -> None:
        data = message.data
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        for line in text.splitlines():
            if message.name == WATCH:
                print(line, flush=True)
            else:
                self.logs.add(message.name, line)


class Supervisor(honcho.manager.Manager):  # type: ignore[misc]  # honcho ships no types
    """honcho's manager, which also remembers who ended first."""

    first: tuple[str, int] | None = None

    def terminate(self) -> None:
        if self._terminating:
            return
        ended = [(n, p["returncode"]) for n, p in self._processes.items() if "returncode" in p]
        self.first = ended[0] if ended else None
        print("\nStopping …", flush=True)
        super().terminate()

    def _killall(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - honcho's signature
        if not self._all_started():
            # Too early to stop each in order: leave, and the reaper ends them.
            sys.exit(self.returncode or 1)
        super()._killall(force)


def run_programs(
    programs: Iterable[Program],
    *,
    environment: Mapping[str, str],
    folder: Path,
    logs: Path,
    stop_seconds: float,
) -> Ending:
    """Run `programs` until one ends or SIGINT or SIGTERM comes; then stop the others.

    Whoever has not stopped `stop_seconds` after the first one has is killed.
    """
    # honcho knows no other way to say how long a graceful stop may take.
    honcho.manager.KILL_WAIT = stop_seconds
    written = Logs(folder=logs)
    supervisor = Supervisor(LogPrinter(written))
    for program in programs:
        # `exec`: honcho's shell becomes the program, so that signals and exit codes are its own.
        command = f"exec {shlex.join(program.command)}"
        supervisor.add_process(program.name, command, env=dict(environment), cwd=str(folder))
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
    return Ending(exit_code=1, crash=Crash(name=name, exit_code=exit_code, last_lines=tail))
