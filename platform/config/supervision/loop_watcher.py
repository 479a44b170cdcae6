"""Watches the event loop of a process from another process, and ends it if the loop is blocked.

A separate process also detects a loop that is blocked in C code with the interpreter's lock, where
no thread of the process runs. Its standard input is a pipe to which the loop writes a byte each
second; the end of the pipe is the end of the process. It is run as a file by an interpreter without
site packages, and imports nothing of ours.
"""

import json
import os
import select
import signal
import sys
import time
from datetime import UTC, datetime

POLL_SECONDS = 0.5
ABORT_TIMEOUT_SECONDS = 5.0
"""Time for the process to write its stacks and to end."""


def main(pid: int, limit: float, record: str, log_format: str) -> None:
    """Watch until the process has ended."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    if wait_until_frozen(pid, limit):
        report(pid, limit, log_format)
        if record:
            note(record, pid)
        end(pid)


def wait_until_frozen(pid: int, limit: float) -> bool:
    """Wait for a blocked loop. Returns False if the process has ended."""
    silent = 0.0
    while silent <= limit:
        before = time.monotonic()
        ready, _, _ = select.select([0], [], [], POLL_SECONDS)
        waited = time.monotonic() - before
        if ready:
            if not os.read(0, 4096):
                return False
            silent = 0.0
        elif waited > 2 * POLL_SECONDS or is_stopped(pid):
            silent = 0.0  # one of the processes was stopped, or the whole machine
        else:
            silent += waited
    return True


def is_stopped(pid: int) -> bool:
    """Return whether the process is stopped by a signal or a debugger."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - pathlib costs a start
            return stat.read().rpartition(b")")[2].split()[0] in {b"T", b"t"}
    except OSError:
        return False


def report(pid: int, limit: float, log_format: str) -> None:
    """Write a line to the log of the process, before its stacks."""
    message = f"gateway: event loop blocked for {limit:g} s, its stacks follow (pid={pid})"
    if log_format == "json":
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "level": "critical", "logger": "config.supervision.loop_watcher"}
        message = json.dumps({**line, "message": message})
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


def note(record: str, pid: int) -> None:
    """Write a line for the metric."""
    with open(record, "a", encoding="ascii") as lines:  # noqa: PTH123
        lines.write(f"{pid} {time.time():.0f}\n")


def end(pid: int) -> None:
    """Send SIGABRT, on which the process writes the stacks of all its threads."""
    try:
        os.kill(pid, signal.SIGABRT)
        give_up = time.monotonic() + ABORT_TIMEOUT_SECONDS
        while (left := give_up - time.monotonic()) > 0:
            if select.select([0], [], [], left)[0] and not os.read(0, 4096):
                return
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4])
