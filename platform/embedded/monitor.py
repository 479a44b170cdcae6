"""Watches the stack: reports when it is ready, and ends if a database server has died.

A process of its own under the supervisor, because the servers are not the supervisor's children:
they run before the others, for the migrations, and stop after them.
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
class Watched:
    """A process to watch; `log` is what to show if it dies."""

    name: str
    process: psutil.Process
    log: Path | None

    @classmethod
    def parse(cls, text: str) -> "Watched":
        name, pid, log = text.split(":", 2)
        return cls(name=name, process=psutil.Process(int(pid)), log=Path(log) if log else None)

    def is_dead(self) -> bool:
        gone = not self.process.is_running()
        return gone or self.process.status() == psutil.STATUS_ZOMBIE

    def exit_report(self) -> str:
        said = f" The end of {self.log}:\n{last_lines(self.log)}" if self.log else ""
        return f"{self.name} (process {self.process.pid}) has died.{said}"


def watch(watched: Sequence[Watched], *, demo: Path, started: float) -> str:
    """Returns the exit report of the first that dies; until then prints what becomes ready."""
    addresses = read_env_file(demo)
    start = Start(addresses=addresses, began=started, shown=started)
    while True:
        for one in watched:
            if one.is_dead():
                return one.exit_report()
        if not start.is_complete:
            start.look()
        time.sleep(POLL_SECONDS)


@dataclass(slots=True, kw_only=True)
class Start:
    """Shows each part of the stack when it is ready, and then how to use them."""

    addresses: Mapping[str, str]
    began: float
    shown: float
    ready: set[str] = field(default_factory=set)

    @property
    def is_complete(self) -> bool:
        return len(self.ready) == len(PARTS)

    def look(self) -> None:
        now = ready_parts(self.addresses)
        for part in PARTS:
            if part in now - self.ready:
                self.show(line(f"  the {part} is ready", self.began))
        self.ready |= now
        if self.is_complete:
            print(banner(self.addresses, seconds=time.time() - self.began), flush=True)
            print(READY, flush=True)
        elif time.time() - self.shown > REMINDER_SECONDS:
            missing = " and the ".join(part for part in PARTS if part not in self.ready)
            self.show(f"  … still starting the {missing}")

    def show(self, text: str) -> None:
        print(text, flush=True)
        self.shown = time.time()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--process", action="append", default=[], type=Watched.parse)
    parser.add_argument("--demo", required=True, type=Path)
    parser.add_argument("--started", required=True, type=float)
    given = parser.parse_args()
    sys.exit(watch(given.process, demo=given.demo, started=given.started))


if __name__ == "__main__":
    main()
