"""The steps of the demonstration: start, work, kill, take-over, restart, report."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from embedded.cluster_demo.client import TaskState, TenantClient
from embedded.cluster_demo.processes import (
    ManagedCommand,
    restart_node,
    running_node,
    running_stack,
)
from embedded.cluster_demo.report import Observations, problems, render
from embedded.errors import CannotStart
from embedded.progress import step
from embedded.servers.valkey import free_port
from embedded.state_dir import Home
from kernel.env_file import read_env_file

NODES = 3
SLOTS = 2
"""Slots of a node: so few that every node has work and some tasks wait."""
KILL_AFTER = 4
"""Number of ended tasks after which a node is killed."""
WORK_TIMEOUT_SECONDS = 600.0
POLL_SECONDS = 0.5
LEDGER_TIMEOUT_SECONDS = 20.0
"""Maximum time until the ledger has the last requests: workers write it in batches."""
OWN_VARIABLES = ("TENANTRY_", "DATABASE_URL", "REDIS_", "DJANGO_")
SECOND_ROUND = 6
"""Number of tasks for the time after the restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of the demonstration."""

    checkout: Path
    report: Path
    """The file for the report as JSON."""
    tasks: int
    prompts: Sequence[tuple[str, str]]
    """Pairs of a capability and an input, which are used in turn."""


def run_demonstration(options: DemoOptions) -> int:
    """Run the demonstration, print and save its report, and return the exit code: 1 if something
    happened that should not. Raises CannotStart.
    """
    # SIGTERM must end the stack, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tenantry-demo-") as folder:
        home = Home(path=Path(folder))
        home.create()
        with ExitStack() as cleanup:
            seen = Demonstration(options, home, cleanup).run()
    print(render(seen), flush=True)
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_bytes(msgspec.json.format(msgspec.json.encode(seen)) + b"\n")
    print(f"The report as JSON: {options.report}", flush=True)
    return 1 if problems(seen) else 0


class Demonstration:
    """One run, with the processes that `cleanup` ends."""

    def __init__(self, options: DemoOptions, home: Home, cleanup: ExitStack) -> None:
        self._options = options
        self._home = home
        self._cleanup = cleanup
        self._nodes: dict[str, tuple[ManagedCommand, int]] = {}
        self._client: TenantClient
        self._printed = ""

    def run(self) -> Observations:
        self._start()
        prompts, count = self._options.prompts, self._options.tasks
        with step(f"Sending {count} tasks"):
            for number in range(count):
                self._submit(number, prompts)
        self._wait(lambda tasks: ended(tasks) >= KILL_AFTER, "work")
        killed = self._choose(self._client.tasks())
        command, port = self._nodes[killed]
        # Nothing of the node's is read after the kill: these are the tasks that it takes along.
        lost = tuple(each.id for each in self._client.tasks() if is_running(each, on=killed))
        command.kill()
        killed_at = time.monotonic()
        print(f"{killed} was killed with {len(lost)} tasks in progress.", flush=True)
        self._wait(
            lambda tasks: not any(is_lost(each, lost, killed) for each in tasks), "take-over"
        )
        takeover = time.monotonic() - killed_at
        restart = restart_node(killed, command, port)
        print(f"{killed} is back after {restart:.1f} s.", flush=True)
        for number in range(count, count + SECOND_ROUND):
            self._submit(number, prompts)
        self._wait(lambda tasks: ended(tasks) == count + SECOND_ROUND, "end of all tasks")
        tasks = tuple(self._client.tasks())
        return Observations(
            tasks=tasks,
            ends=tuple(self._client.terminal_events(each.id) for each in tasks),
            killed=killed,
            lost=lost,
            takeover=takeover,
            restart=restart,
            failed_requests=self._client.failures,
            ledger=self._ledger(tasks),
        )

    def _start(self) -> None:
        """Start the stack with its node, five agents, and the other nodes."""
        home, checkout = self._home, self._options.checkout
        names = ("CONSOLE", "GATEWAY", "ENGINE", "NODE")
        ports = [free_port() for _ in range(len(names) + NODES - 1)]
        common = {
            **foreign_variables(os.environ),
            "TENANTRY_HOME": str(home.path),
            "TENANTRY_NODE_SLOTS": str(SLOTS),
        }
        stack_ports = {
            f"TENANTRY_{name}_PORT": str(port) for name, port in zip(names, ports, strict=False)
        }
        with step("Starting the stack with one node"):
            own = {**common, **stack_ports, "TENANTRY_NODE_NAME": "node-1"}
            self._cleanup.enter_context(running_stack(home, checkout, own))
        with step("Creating five agents"):
            self._manage(common, "seed_demo_agents")
        for number, port in enumerate(ports[len(names) :], 2):
            name = f"node-{number}"
            with step(f"Starting {name}"):
                self._cleanup.enter_context(self._node(name, port, common))
        demo = read_env_file(home.demo)
        self._client = TenantClient(demo["TENANTRY_GATEWAY_URL"], demo["TENANTRY_API_KEY"])
        print(f"The console is at {demo['TENANTRY_CONSOLE_URL']}/admin/ meanwhile.", flush=True)

    def _node(
        self, name: str, port: int, common: Mapping[str, str]
    ) -> AbstractContextManager[ManagedCommand]:
        home = self._home
        command = ManagedCommand(
            arguments=("agent_node", "--name", name),
            checkout=self._options.checkout,
            environment={
                **common,
                "TENANTRY_NODE_PORT": str(port),
                "TENANTRY_NODE_TOKEN_FILE": str(home.node_token),
            },
            log=home.logs / f"{name}.log",
        )
        self._nodes[name] = (command, port)
        return running_node(name, command, port)

    def _manage(self, environment: Mapping[str, str], *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self._options.checkout,
            env=dict(environment),
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise CannotStart(f"`manage.py {arguments[0]}` failed:\n{done.stderr[-2000:]}")

    def _submit(self, number: int, prompts: Sequence[tuple[str, str]]) -> None:
        capability, text = prompts[number % len(prompts)]
        self._client.submit(capability, text, key=f"demo-cluster-{number}")

    def _choose(self, tasks: Sequence[TaskState]) -> str:
        """Return the node to kill: the one of ours with the most tasks in progress."""
        busy = Counter(each.node for each in tasks if is_running(each))
        return max(self._nodes, key=lambda name: busy[name])

    def _wait(self, is_done: Callable[[Sequence[TaskState]], bool], what: str) -> None:
        """Print the progress until `is_done`. Raises CannotStart after ten minutes."""
        deadline = time.monotonic() + WORK_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            tasks = self._client.tasks()
            self._print(progress(tasks))
            if tasks and is_done(tasks):
                return
            time.sleep(POLL_SECONDS)
        raise CannotStart(f"The {what} was not seen within {WORK_TIMEOUT_SECONDS:.0f} s.")

    def _print(self, line: str) -> None:
        if line != self._printed:
            self._printed = line
            print(line, flush=True)

    def _ledger(self, tasks: Sequence[TaskState]) -> dict[str, int]:
        deadline = time.monotonic() + LEDGER_TIMEOUT_SECONDS
        reported = sum(each.total_tokens for each in tasks)
        while (found := self._client.ledger())["tokens"] < reported:
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_SECONDS)
        return found


def foreign_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are not Tenantry's: `demo.env` of another stack may be exported."""
    return {
        name: value for name, value in environment.items() if not name.startswith(OWN_VARIABLES)
    }


def ended(tasks: Sequence[TaskState]) -> int:
    return sum(each.is_over for each in tasks)


def is_running(task: TaskState, *, on: str = "") -> bool:
    return task.state == "running" and (not on or task.node == on)


def is_lost(task: TaskState, lost: Sequence[str], node: str) -> bool:
    """Return whether a task of the killed node still waits for another node."""
    return task.id in lost and not task.is_over and (not is_running(task) or task.node == node)


def progress(tasks: Sequence[TaskState]) -> str:
    """Return a line such as `12 of 30 tasks ended · in progress: 2 node-1, 1 node-3`."""
    busy = Counter(each.node for each in tasks if is_running(each))
    shares = ", ".join(f"{count} {name}" for name, count in sorted(busy.items())) or "none"
    return f"  {ended(tasks)} of {len(tasks)} tasks ended · in progress: {shares}"
