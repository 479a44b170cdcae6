"""Monitors the stack: reports when it is ready, and exits if a database server has died.

It is a process under the supervisor, because the servers are not children of the supervisor: they
start before the others, for the migrations, and stop after them.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from embedded.banner import banner
from embedded.progress import line
from embedded.readiness import PARTS, ready_parts
from embedded.servers.server import last_lines
from embedded.supervisor import READY
from kernel.env_file import read_env_file

POLL_SECONDS = 0.25
REMINDER_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredServer:
    """A process to monitor; the end of `log` is printed if it dies."""

    name: str
    process: psutil.Process
    log: Path | None

    @classmethod
    def parse(cls, text: str) -> "MonitoredServer":
        name, pid, log = text.split(":", 2)
        return cls(name=name, process=psutil.Process(int(pid)), log=Path(log) if log else None)

    def is_dead(self) -> bool:
        gone = not self.process.is_running()
        return gone or self.process.status() == psutil.STATUS_ZOMBIE

    def exit_report(self) -> str:
        log_end = f" The end of {self.log}:\n{last_lines(self.log)}" if self.log else ""
        return f"{self.name} (process {self.process.pid}) has died.{log_end}"


def watch(watched: Sequence[MonitoredServer], *, demo: Path, started: float) -> str:
    """Print parts as they become ready, until a process dies; return its exit report."""
    addresses = read_env_file(demo)
    progress = StartupProgress(addresses=addresses, began=started, printed_at=started)
    while True:
        for one in watched:
            if one.is_dead():
                return one.exit_report()
        if not progress.is_complete:
            progress.poll()
        time.sleep(POLL_SECONDS)


@dataclass(slots=True, kw_only=True)
class StartupProgress:
    """Prints each part of the stack when it is ready, and then the banner."""

    addresses: Mapping[str, str]
    began: float
    printed_at: float
    ready: set[str] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        return len(self.ready) == len(PARTS)

    def poll(self) -> None:
        now = ready_parts(self.addresses)
        for part in PARTS:
            if part in now - self.ready:
                self.print_line(line(f"  the {part} is ready", self.began))
        self.ready |= now
        if self.is_complete:
            print(banner(self.addresses, seconds=time.time() - self.began), flush=True)
            print(READY, flush=True)
        elif time.time() - self.printed_at > REMINDER_SECONDS:
            missing = " and the ".join(part for part in PARTS if part not in self.ready)
            self.print_line(f"  … still starting the {missing}")

    def print_line(self, text: str) -> None:
        print(text, flush=True)
        self.printed_at = time.time()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--process", action="append", default=[], type=MonitoredServer.parse)
    parser.add_argument("--demo", required=True, type=Path)
    parser.add_argument("--started", required=True, type=float)
    given = parser.parse_args()
    sys.exit(watch(given.process, demo=given.demo, started=given.started))


if __name__ == "__main__":
    main()
