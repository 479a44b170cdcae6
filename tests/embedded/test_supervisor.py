"""One process that ends before all are ready takes the others with it, and is named; later it is
started again.
"""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded.watching import wait_until

pytestmark = pytest.mark.slow

STACK = """
import sys
from pathlib import Path
from embedded import supervisor
from embedded.supervisor import Program, run_programs
supervisor.MAX_FAILURES = 2
logs, *commands = sys.argv[1:]
programs = [
    Program(
        name="watch" if "READY" in command else f"part{number}",
        command=(sys.executable, "-c", command),
        after_ready="LATER" in command,
    )
    for number, command in enumerate(commands)
]
import os, signal
if "STOP_AT_START" in os.environ:
    starts = {"subprocess.Popen": lambda: os.kill(os.getpid(), signal.SIGTERM)}
    sys.addaudithook(lambda event, _: starts.get(event, int)())
ending = run_programs(
    programs, environment=os.environ, folder=Path.cwd(), logs=Path(logs), stop_seconds=2
)
print("crash:", ending.crash.message(Path(logs)) if ending.crash else None)
sys.exit(ending.exit_code)
"""
FOREVER = "import time, pathlib, sys; print('up', flush=True); time.sleep(600)"
LATER = f"{FOREVER}  # LATER"
DEAF = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
CRASH = "import sys, time; print('about to fail', flush=True); time.sleep(1); sys.exit(7)"

READY = (
    "from embedded.supervisor import READY; import time; time.sleep(1); print(READY, flush=True)"
)
WATCH = f"{READY}; time.sleep(600)"
COUNTED = "from pathlib import Path; p = Path({path!r}); p.open('a').write('x'); import time, sys; "

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(start: Start, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    return lambda *commands, **variables: start("-c", STACK, str(tmp_path), *commands, **variables)


def test_a_crash_is_named_with_its_code_and_last_lines(run: Start):
    said, _ = run(FOREVER, CRASH).communicate(timeout=30)
    assert "The part1 ended with exit code 7" in said
    assert "| about to fail" in said


def test_the_exit_code_says_that_something_failed(run: Start):
    process = run(FOREVER, CRASH)
    process.communicate(timeout=30)
    assert process.returncode == 1


def test_one_that_was_killed_is_told_by_its_signal(run: Start):
    said, _ = run(FOREVER, "import os, time; time.sleep(1); os.kill(os.getpid(), 9)").communicate(
        timeout=30
    )
    assert "was killed by signal 9" in said


def test_one_that_will_not_stop_is_killed(run: Start):
    said, _ = run(DEAF, CRASH).communicate(timeout=30)
    assert "The part1 ended with exit code 7" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_is_no_crash(run: Start, tmp_path: Path, number: signal.Signals):
    process = run(FOREVER, FOREVER)
    wait_until(lambda: is_up(tmp_path / "part0.log") and is_up(tmp_path / "part1.log"))
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert "crash: None" in said


def test_a_request_to_stop_that_comes_while_a_process_is_started_is_no_crash(run: Start):
    said, _ = run(FOREVER, FOREVER, STOP_AT_START="1").communicate(timeout=30)
    assert "crash: None" in said


def test_what_nobody_waits_for_is_started_when_all_others_are_ready(run: Start, tmp_path: Path):
    ready = READY.replace("sleep(1)", "sleep(3)") + "; time.sleep(600)"
    process = run(FOREVER, LATER, ready)
    wait_until(lambda: is_up(tmp_path / "part0.log"))
    assert not (tmp_path / "part1.log").exists()
    wait_until(lambda: is_up(tmp_path / "part1.log"))
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert "crash: None" in said


def test_every_process_has_a_log_of_its_own(run: Start, tmp_path: Path):
    run("print('one')", FOREVER).communicate(timeout=30)
    assert (tmp_path / "part0.log").read_text() == "one\n"


def is_up(log: Path) -> bool:
    return log.exists() and "up" in log.read_text()


def starts(path: Path) -> int:
    return len(path.read_text()) if path.exists() else 0


def test_what_ends_once_all_are_ready_is_started_again(run: Start, tmp_path: Path):
    mark = tmp_path / "starts"
    once = COUNTED.format(path=str(mark)) + (
        "print('up', flush=True); time.sleep(3 if len(p.read_text()) == 1 else 600); sys.exit(9)"
    )
    process = run(once, FOREVER, WATCH)
    wait_until(lambda: starts(mark) == 2, seconds=60)
    wait_until(lambda: (tmp_path / "part0.log").read_text().count("up") == 2)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert "The part0 ended with exit code 9. It restarts in 0.5 s" in said
    assert "crash: None" in said
    assert (tmp_path / "part1.log").read_text().count("up") == 1


def test_what_cannot_be_started_again_stops_everything(run: Start, tmp_path: Path):
    mark = tmp_path / "starts"
    failing = COUNTED.format(path=str(mark)) + (
        "print('broken', flush=True); time.sleep(3 if len(p.read_text()) == 1 else 0); sys.exit(9)"
    )
    process = run(failing, FOREVER, WATCH)
    said, _ = process.communicate(timeout=60)
    assert "ended with exit code 9 3 times soon after its start, so the stack was stopped" in said
    assert "| broken" in said
    assert process.returncode == 1
    assert starts(mark) == 3


def test_the_end_of_the_watch_stops_everything(run: Start):
    said, _ = run(FOREVER, READY).communicate(timeout=30)
    assert "crash: The stack was stopped." in said
