"""Ensures one stack per folder by a file lock, which is held until its last process has ended."""

import fcntl
import time
from pathlib import Path
from typing import TextIO

import psutil

from embedded.errors import AlreadyRunning

CLEANUP_TIMEOUT_SECONDS = 45.0


def acquire_lock(path: Path, *, owner: int) -> TextIO:
    """Acquire the lock, which is held while the returned file is open, also in child processes.

    If the last owner is dead, wait until its reaper has ended the rest of that stack. Raises
    AlreadyRunning if the owner lives.
    """
    file = path.open("a+", encoding="utf-8")
    try:
        wait_for_lock(file, path=path)
    except AlreadyRunning:
        file.close()
        raise
    file.truncate(0)
    file.write(str(owner))
    file.flush()
    return file


def wait_for_lock(file: TextIO, *, path: Path) -> None:
    give_up = time.monotonic() + CLEANUP_TIMEOUT_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse_if_alive(path, waited_out=time.monotonic() > give_up)
            time.sleep(0.2)
        else:
            return


def refuse_if_alive(path: Path, *, waited_out: bool) -> None:
    recorded = path.read_text(encoding="utf-8").strip()
    alive = recorded.isdigit() and psutil.pid_exists(int(recorded))
    if alive or waited_out:
        raise AlreadyRunning(
            f"A stack is already running in {path.parent} (process {recorded or 'unknown'}). "
            "Its addresses and keys are in demo.env there. Stop it with Ctrl-C where it runs, or "
            f"with `kill {recorded or 'PID'}`; or set TENANTRY_HOME to start a second one."
        )
