"""Workers killed at any moment, while they write and while they replay."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tenants.admission.usage.spool_folder import FolderSpool

WRITER = """
import sys
from pathlib import Path
from tenants.admission.usage.spool_folder import FolderSpool
from tests.fixtures.limits.usage import record

spool = FolderSpool(Path(sys.argv[1]))
for number in range(100_000):
    spool.write([record(f"{sys.argv[2]}_{number}_{each}") for each in range(5)])
    print(number, flush=True)
"""
REPLAYER = """
import sys
from pathlib import Path
from tenants.admission.usage.spool_folder import FolderSpool

spool = FolderSpool(Path(sys.argv[1]))
spool.claim()
while (batch := spool.oldest(10)) is not None:
    for each in batch.records:
        print(each.request_id)
    # What is printed stands for what is committed.
    sys.stdout.flush()
    spool.forget(batch)
"""


def start(program, *arguments):
    environment = {**os.environ, "PYTHONPATH": ".:platform"}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def kill_after(process, seconds):
    """What it said until it was killed."""
    said = [process.stdout.readline()]
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate()
    whole = "".join(said) + rest
    return [line for line in whole.split("\n")[:-1] if line]


def acknowledged(name, lines):
    return {f"req_{name}_{number}_{each}" for number in lines for each in range(5)}


def waiting(folder):
    spool = FolderSpool(folder)
    spool.claim()
    found = []
    while (batch := spool.oldest(1000)) is not None:
        found += [each.request_id for each in batch.records]
        spool.forget(batch)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_whatever_was_acknowledged_before_a_kill_is_found(tmp_path, seed):
    rng = random.Random(seed)
    written = set()
    for name in range(3):
        lines = kill_after(start(WRITER, tmp_path, name), rng.uniform(0, 0.2))
        written |= acknowledged(name, lines)

    found = waiting(tmp_path)

    assert written <= set(found)
    assert len(found) == len(set(found))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_replay_that_is_killed_again_and_again_loses_nothing(tmp_path):
    written = acknowledged(0, kill_after(start(WRITER, tmp_path, 0), 0.4))
    committed = set()
    for _ in range(4):
        committed |= set(kill_after(start(REPLAYER, tmp_path), 0.002))

    committed |= set(waiting(tmp_path))

    assert written <= committed
    assert list(tmp_path.iterdir()) == []
