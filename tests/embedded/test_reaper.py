"""Nothing of a stack outlives its supervisor, however that ends."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.embedded.watching import alive, wait_until

SUPERVISOR = """
import os, subprocess, sys, time
from embedded.reaper import MARKER, start_reaper
reaper = start_reaper(f"{os.getpid()}-test")
os.environ[MARKER] = f"{os.getpid()}-test"
# A child in a session of its own, with a child that nobody has heard of.
grandchild = "import subprocess, sys, time; " \\
    "p = subprocess.Popen([sys.executable, '-c', sys.argv[1]]); print(p.pid, flush=True); p.wait()"
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen(
    [sys.executable, "-c", grandchild, sys.argv[1]], start_new_session=True, stdout=subprocess.PIPE
)
pids = [child.pid, int(child.stdout.readline())]
helper = os.fork()
if helper == 0:
    # A fork of the supervisor must not hold the reaper's pipe open.
    time.sleep(600)
print(reaper.pid, helper, *pids, flush=True)
if "finish" in sys.argv:
    reaper.finish()
else:
    time.sleep(600)
"""
SLEEPS = "import time; time.sleep(600)"

Start = Callable[..., subprocess.Popen[str]]


Family = tuple[subprocess.Popen[str], int, list[int]]


@pytest.fixture
def start_family(start: Start) -> Iterator[Callable[..., Family]]:
    helpers = []

    def start_supervisor(*arguments: str) -> Family:
        process = start("-c", SUPERVISOR, *arguments)
        assert process.stdout is not None
        reaper, helper, *family = (int(pid) for pid in process.stdout.readline().split())
        helpers.append(helper)
        return process, reaper, family

    yield start_supervisor
    for helper in helpers:
        os.kill(helper, signal.SIGKILL)


def test_a_killed_supervisor_leaves_no_child_and_no_grandchild(start_family: Callable[..., Family]):
    process, _, family = start_family(SLEEPS)
    process.kill()
    wait_until(lambda: not any(alive(pid) for pid in family))


def test_the_reaper_itself_ends_too(start_family: Callable[..., Family]):
    process, reaper, _ = start_family(SLEEPS)
    process.kill()
    wait_until(lambda: not alive(reaper))


def test_others_without_the_mark_are_left_alone(start: Start, start_family: Callable[..., Family]):
    bystander = start("-c", SLEEPS)
    process, reaper, _ = start_family(SLEEPS)
    process.kill()
    wait_until(lambda: not alive(reaper))
    assert alive(bystander.pid)


def test_an_orderly_end_leaves_nothing_either(start_family: Callable[..., Family]):
    process, _, family = start_family(SLEEPS, "finish")
    process.wait(timeout=30)
    assert not any(alive(pid) for pid in family)


def test_ctrl_c_does_not_end_the_reaper(start_family: Callable[..., Family]):
    process, reaper, family = start_family(SLEEPS)
    os.kill(reaper, signal.SIGINT)
    os.kill(reaper, signal.SIGTERM)
    process.kill()
    wait_until(lambda: not any(alive(pid) for pid in family))


@pytest.mark.nightly
def test_a_process_that_ignores_the_request_is_killed(start_family: Callable[..., Family]):
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    process, _, family = start_family(deaf)
    process.kill()
    wait_until(lambda: not any(alive(pid) for pid in family), seconds=40)
