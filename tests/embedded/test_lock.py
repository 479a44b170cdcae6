"""Two stacks on one folder would be two servers on one database."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded.errors import AlreadyRunning
from embedded.lock import acquire_lock

HOLDER = """
import os, sys, time
from pathlib import Path
from embedded.lock import acquire_lock
held = acquire_lock(Path(sys.argv[1]), owner=int(sys.argv[2]) or os.getpid())
print("held", flush=True)
time.sleep(float(sys.argv[3]))
"""

Start = Callable[..., subprocess.Popen[str]]


def hold(start: Start, path: Path, *, owner: int, seconds: float) -> subprocess.Popen[str]:
    process = start("-c", HOLDER, str(path), str(owner), str(seconds))
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_start_is_refused_and_told_which_is_the_first(start: Start, tmp_path: Path):
    process = hold(start, tmp_path / "lock", owner=0, seconds=600)
    with pytest.raises(AlreadyRunning, match=f"process {process.pid}"):
        acquire_lock(tmp_path / "lock", owner=os.getpid())


def test_a_dead_owner_whose_reaper_still_works_is_waited_for(start: Start, tmp_path: Path):
    hold(start, tmp_path / "lock", owner=2**22 + 1, seconds=1)
    with acquire_lock(tmp_path / "lock", owner=os.getpid()):
        assert (tmp_path / "lock").read_text() == str(os.getpid())


def test_a_lock_that_was_left_is_free(tmp_path: Path):
    acquire_lock(tmp_path / "lock", owner=1).close()
    acquire_lock(tmp_path / "lock", owner=2).close()
