"""Workers that stand still, are killed, or lose their supervisor, as processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from tests.fixtures.servers.ports import free_port
from tests.fixtures.servers.processes import CHECKOUT

pytestmark = pytest.mark.slow

WATCHER = "loop_watcher.py"


@dataclass
class Served:
    process: subprocess.Popen
    port: int
    home: Path

    def ask(self, path="/", within=5.0) -> int | None:
        """The pid of the worker that answers; None without an answer."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=within
            ) as it:
                return json.loads(it.read())["pid"]
        except (urllib.error.URLError, OSError, ValueError):
            return None

    def begin(self, path: str) -> None:
        """Ask for what is never answered."""
        self.ask(path, within=0.5)

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    @property
    def workers(self) -> list[psutil.Process]:
        """Of a server with several."""
        return children(self.process.pid, naming="spawn_main")

    def metric(self, name: str) -> float:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=str(self.home))
        return registry.get_sample_value(name) or 0.0


def children(pid: int, *, naming: str) -> list[psutil.Process]:
    """Those that live and have a word in their command line."""
    found = []
    for child in psutil.Process(pid).children():
        with suppress(psutil.Error):
            if naming in " ".join(child.cmdline()):
                found.append(child)
    return found


@contextmanager
def served(home: Path, *, workers: int, port: int = 0):
    port = port or free_port()
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(CHECKOUT), str(CHECKOUT / "platform"))),
        "PROMETHEUS_MULTIPROC_DIR": str(home),
        "TENANTRY_LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "tests.fixtures.servers.freezing", str(port), str(workers)]
    with (home / "log").open("ab") as log, subprocess.Popen(
        command, env=env, cwd=CHECKOUT, stdout=log, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        made = Served(process=process, port=port, home=home)
        try:
            until(lambda: made.ask() is not None)
            yield made
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def until(condition, seconds=60.0):
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about in time")


@pytest.mark.parametrize("how", ["stand_still", "hold_the_interpreter"])
def test_a_worker_whose_loop_stands_still_is_replaced_with_its_stacks_in_the_log(tmp_path, how):
    with served(tmp_path, workers=1) as server:
        server.begin(f"/{how}")

        assert server.process.wait(60) == -signal.SIGABRT
        line = next(each for each in server.log.splitlines() if "event loop blocked" in each)
        assert json.loads(line)["level"] == "critical"
        assert f"in {how}" in server.log.partition("event loop blocked")[2]
        assert len((tmp_path / "frozen_loops").read_text().splitlines()) == 1
    with served(tmp_path, workers=1) as again:
        assert again.metric("tenantry_frozen_loops_total") == 1


def test_the_other_workers_serve_on_while_one_is_replaced(tmp_path):
    with served(tmp_path, workers=2) as server:
        before = until(lambda: len(server.workers) == 2 and {each.pid for each in server.workers})
        server.begin("/spin")
        until(lambda: server.metric("tenantry_frozen_loops_total") == 1)

        assert "in spin" in server.log
        until(lambda: len(before & {each.pid for each in server.workers}) == 1)
        until(lambda: server.ask() not in {None, *before})


def test_a_worker_that_was_stopped_for_long_is_left_alone(tmp_path):
    with served(tmp_path, workers=1) as server:
        pid = server.ask()
        os.kill(pid, signal.SIGSTOP)
        time.sleep(5.0)
        os.kill(pid, signal.SIGCONT)
        time.sleep(1.0)

        assert server.ask() == pid
        assert "event loop blocked" not in server.log


def test_a_watcher_that_ends_is_started_again(tmp_path):
    def watcher(besides=0):
        found = children(server.process.pid, naming=WATCHER)
        return next((each for each in found if each.pid != besides), None)

    with served(tmp_path, workers=1) as server:
        first = until(watcher)
        first.kill()
        assert until(lambda: watcher(besides=first.pid)).is_running()
        assert server.ask() == server.process.pid


def test_workers_end_with_a_supervisor_that_is_killed_and_the_next_start_serves(tmp_path):
    with served(tmp_path, workers=2) as server:
        until(lambda: len(server.workers) == 2)
        family = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        server.process.wait()
        _, left = psutil.wait_procs(family, timeout=30)
        assert left == []
        with served(tmp_path, workers=2, port=server.port) as again:
            assert again.ask() is not None


def test_what_a_killed_worker_held_is_not_shown_any_more(tmp_path):
    with served(tmp_path, workers=2) as server:
        pid = until(lambda: server.ask("/open"))
        assert server.metric("tenantry_sockets") == 7
        os.kill(pid, signal.SIGKILL)
        until(lambda: server.metric("tenantry_sockets") == 0)
