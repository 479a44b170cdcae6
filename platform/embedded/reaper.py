"""Ends every process of a stack whose supervisor is gone, even if that was killed with SIGKILL.

A small process of its own. It holds the read end of a pipe from the supervisor; the end of that
pipe is the end of the supervisor. Members are known by TENANTRY_STACK_ID in their environment,
which grandchildren inherit and which needs no list of pids that could be out of date.
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
    """The supervisor's end of the pipe: as long as it is open, the supervisor lives."""

    descriptor: int
    is_open: bool = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            os.close(self.descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaper:
    """The supervisor's side of the arrangement."""

    process: subprocess.Popen[bytes]
    lifeline: Lifeline

    @property
    def pid(self) -> int:
        return self.process.pid

    def finish(self) -> None:
        """Have everything that is left ended now; returns when that is done."""
        self.lifeline.close()
        self.process.wait()


def start_reaper(stack_id: str, *, held_open: tuple[int, ...] = ()) -> Reaper:
    """Start the reaper of `stack_id`. It keeps the descriptors `held_open` until it has ended."""
    reading, writing = os.pipe()
    lifeline = Lifeline(descriptor=writing)
    # Forked helpers of the supervisor must not keep the pipe open when the supervisor is gone.
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
    # Only from here on do signals to everybody at the terminal leave it alone.
    with process.stdout as said:
        said.readline()
    return Reaper(process=process, lifeline=lifeline)


def members(stack_id: str, *, besides: int) -> list[psutil.Process]:
    """Every living process whose environment names the stack."""

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
    """End all members: first those that use the databases, then the databases, then by force."""

    def others() -> list[psutil.Process]:
        return [p for p in members(stack_id, besides=besides) if not is_database(p)]

    def everybody() -> list[psutil.Process]:
        return members(stack_id, besides=besides)

    end(others)
    end(everybody)


def end(who: Callable[[], list[psutil.Process]]) -> None:
    """Signal all, wait for 10 s, kill the rest; also those that were only now started."""
    for process in who():
        send(process, stop_signal)
    give_up = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < give_up and who():
        time.sleep(0.1)
    while left := who():
        for process in left:
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
