"""A measurement that is interrupted, ended or killed leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from embedded.reaper import MARKER

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
MEASURING = """
import signal, time
from tests.load import servers
from tests.load.leftovers import nothing_left_behind

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
with nothing_left_behind():
    with servers.upstream(set()) as engine, servers.relay(set(), engine):
        print("measuring", flush=True)
        time.sleep(600)
"""


def marked(pid: int) -> list[psutil.Process]:
    """Everything that a program started, or that was started for it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER, "").startswith(f"{pid}-"):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return [each for each in found if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def start(command):
    paths = os.pathsep.join((str(ROOT), str(ROOT / "platform")))
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_until(condition, seconds=60.0):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_of_a_measurement_that_ends_early(number):
    with start(["-c", MEASURING]) as program:
        assert program.stdout.readline() == "measuring\n"
        assert len(marked(program.pid)) >= 3
        program.send_signal(number)
        assert program.wait(60) != 0
        wait_until(lambda: not marked(program.pid))


@pytest.mark.nightly
def test_nothing_is_left_of_a_benchmark_that_is_killed():
    with start(["tests/load/bench.py", "--without-gateway", "--rounds", "1"]) as bench:
        wait_until(lambda: any("upstream.py" in str(p.cmdline()) for p in marked(bench.pid)), 300)
        bench.kill()
        wait_until(lambda: not marked(bench.pid))


@pytest.mark.parametrize("script", ["bench", "peers", "runs", "script_cost"])
def test_each_program_that_starts_servers_cleans_up(script):
    source = (ROOT / "tests" / "load" / f"{script}.py").read_text()
    assert "with nothing_left_behind():" in source.partition('if __name__ == "__main__":')[2]
