"""Ends every process of a stack after its supervisor has ended, even by SIGKILL.

It is a separate process with the read end of a pipe from the supervisor, and ends the others when
that pipe is closed. Members are found by TENANTRY_STACK_ID in their environment, which
grandchildren inherit; a list of pids could be outdated.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from embedded.servers.server import stop_signal

MARKER = "TENANTRY_STACK_ID"
GRACE_SECONDS = 10.0
DATABASES = {"postgres", "valkey-server"}


@dataclass(slots=True, kw_only=True)
class Lifeline:
    """The supervisor's end of the pipe, which is open while the supervisor runs."""

    descriptor: int
    is_open: bool = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            os.close(self.descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaper:
    """The supervisor's handle of the reaper process."""

    process: subprocess.Popen[bytes]
    lifeline: Lifeline

    @property
    def pid(self) -> int:
        return self.process.pid

    def finish(self) -> None:
        """End all remaining processes, and return when they have ended."""
        self.lifeline.close()
        self.process.wait()


def start_reaper(stack_id: str, *, held_open: tuple[int, ...] = ()) -> Reaper:
    """Start the reaper of `stack_id`, which keeps the descriptors `held_open` until it ends."""
    reading, writing = os.pipe()
    lifeline = Lifeline(descriptor=writing)
    # Forked children of the supervisor must not keep the pipe open after the supervisor's end.
    os.register_at_fork(after_in_child=lifeline.close)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    environment.pop(MARKER, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "embedded.reaper", stack_id, str(os.getpid())],
        stdin=reading,
        stdout=subprocess.PIPE,
        pass_fds=held_open,
        start_new_session=True,
        env=environment,
    )
    os.close(reading)
    assert process.stdout is not None
    # Its first line means that it ignores signals of the terminal.
    with process.stdout as output:
        output.readline()
    return Reaper(process=process, lifeline=lifeline)


def members(stack_id: str, *, besides: int) -> list[psutil.Process]:
    """Return every running process with the stack's id in its environment, except `besides`."""

    def found() -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            try:
                named = process.environ().get(MARKER) == stack_id
                if named and process.pid != besides and process.status() != psutil.STATUS_ZOMBIE:
                    yield process
            except (psutil.Error, OSError):
                continue

    return list(found())


def is_database(process: psutil.Process) -> bool:
    try:
        return process.name() in DATABASES
    except psutil.Error:
        return False


def reap(stack_id: str, *, besides: int) -> None:
    """End all members: first the clients of the databases, then the databases."""

    def clients() -> list[psutil.Process]:
        return [p for p in members(stack_id, besides=besides) if not is_database(p)]

    def all_members() -> list[psutil.Process]:
        return members(stack_id, besides=besides)

    end(clients)
    end(all_members)


def end(find: Callable[[], list[psutil.Process]]) -> None:
    """Signal all, wait for 10 s, then kill the rest, including those that started meanwhile."""
    for process in find():
        send(process, stop_signal)
    give_up = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < give_up and find():
        time.sleep(0.1)
    while remaining := find():
        for process in remaining:
            send(process, lambda _: signal.SIGKILL)
        time.sleep(0.05)


def send(process: psutil.Process, choose: Callable[[psutil.Process], signal.Signals]) -> None:
    try:
        process.send_signal(choose(process))
    except psutil.Error:
        return


def main() -> None:
    stack_id, supervisor = sys.argv[1], int(sys.argv[2])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    print("ready", flush=True)
    while sys.stdin.buffer.read(1):
        pass
    reap(stack_id, besides=supervisor)


if __name__ == "__main__":
    main()
