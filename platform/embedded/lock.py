"""One stack per folder: a file lock that lives as long as anything of the stack does."""

import fcntl
import time
from pathlib import Path
from typing import TextIO

import psutil

from embedded.errors import AlreadyRunning

CLEARING_SECONDS = 45.0


def take_lock(path: Path, *, owner: int) -> TextIO:
    """Hold the returned file to hold the lock; processes that inherit it hold it too.

    If the last owner is dead, its reaper is still clearing up behind it: that is waited for.
    Raises AlreadyRunning if the owner lives.
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
    give_up = time.monotonic() + CLEARING_SECONDS
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
