"""The supervisor's eyes: says when the stack is ready, and ends if a database server has died.

A process of its own under the supervisor, because the servers are not the supervisor's children:
they run before the others, for the migrations, and stop after them.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from embedded.banner import banner
from embedded.readiness import missing_part
from embedded.server import last_lines
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

    def obituary(self) -> str:
        said = f" The end of {self.log}:\n{last_lines(self.log)}" if self.log else ""
        return f"{self.name} (process {self.process.pid}) has died.{said}"


def watch(watched: Sequence[Watched], *, demo: Path, started: float) -> str:
    """Returns the obituary of the first that dies; until then announces what becomes ready."""
    addresses = read_env_file(demo)
    waiting, reminded = True, started
    while True:
        for one in watched:
            if one.is_dead():
                return one.obituary()
        if waiting:
            missing = missing_part(addresses)
            waiting = bool(missing)
            if not missing:
                print(banner(addresses, seconds=time.time() - started), flush=True)
            elif time.time() - reminded > REMINDER_SECONDS:
                print(f"… still waiting for the {missing}", flush=True)
                reminded = time.time()
        time.sleep(POLL_SECONDS)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--process", action="append", default=[], type=Watched.parse)
    parser.add_argument("--demo", required=True, type=Path)
    parser.add_argument("--started", required=True, type=float)
    given = parser.parse_args()
    sys.exit(watch(given.process, demo=given.demo, started=given.started))


if __name__ == "__main__":
    main()
