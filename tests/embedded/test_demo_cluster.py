"""The cluster demonstration: its report, and once a night the whole."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from embedded.cluster_demo.client import TaskState
from embedded.cluster_demo.demonstration import ended, foreign_variables, is_lost, progress
from embedded.cluster_demo.report import Observations, problems, render
from tests.embedded.conftest import environment_with

CHECKOUT = Path(__file__).resolve().parents[2]
TASK = TaskState(
    id="task_1",
    state="completed",
    agent="writer",
    node="node-1",
    attempts=1,
    created_at=100,
    completed_at=104,
    total_tokens=30,
)


def task(**facts):
    values = {name: getattr(TASK, name) for name in TASK.__dataclass_fields__}
    return TaskState(**{**values, **facts})


SEEN = Observations(
    tasks=(TASK, task(id="task_2", node="node-3", attempts=2, completed_at=118)),
    ends=(1, 1),
    killed="node-2",
    lost=("task_2",),
    takeover=10.84,
    restart=4.2,
    failed_requests=0,
    ledger={"requests": 3, "tokens": 64},
)


def test_a_report_says_what_became_of_every_task():
    text = render(SEEN)

    assert "2 accepted: 2 completed" in text
    assert "1 node-1, 1 node-3" in text
    assert "node-2 by SIGKILL, with 1 tasks in progress" in text
    assert "10.8 s after the kill" in text
    assert "ended by node-3" in text
    assert "64 tokens of 3 requests" in text
    assert "Every task ended once." in text
    assert problems(SEEN) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ends": (1, 2)}, "1 tasks did not end exactly once: task_2"),
        ({"ends": (0, 1)}, "1 tasks did not end exactly once: task_1"),
        ({"takeover": None}, "tasks of the killed node were not taken over"),
        ({"failed_requests": 2}, "2 requests of the client failed"),
        ({"ledger": {"requests": 2, "tokens": 59}}, "the ledger has 59 tokens, the tasks 60"),
        ({"tasks": (task(state="failed", error="worker_died"), TASK)}, "1 tasks have failed"),
        ({"tasks": (task(state="running"), TASK)}, "1 tasks have not ended"),
    ],
)
def test_a_report_names_what_should_not_have_happened(change, problem):
    seen = msgspec.structs.replace(SEEN, **change)

    assert [each for each in problems(seen) if each.startswith(problem)]
    assert "PROBLEM" in render(seen)
    assert "Every task ended once." not in render(seen)


def test_a_task_is_lost_until_another_node_executes_it():
    lost = ("task_1",)

    assert is_lost(task(state="running", node="node-2"), lost, "node-2")
    assert is_lost(task(state="queued", node=""), lost, "node-2")
    assert not is_lost(task(state="running", node="node-1"), lost, "node-2")
    assert not is_lost(task(state="completed", node="node-2"), lost, "node-2")
    assert not is_lost(task(id="task_9", state="queued", node=""), lost, "node-2")


def test_the_progress_names_the_nodes_with_work():
    tasks = [TASK, task(state="running", node="node-3"), task(state="queued", node="")]

    assert ended(tasks) == 1
    assert progress(tasks) == "  1 of 3 tasks ended · in progress: 1 node-3"


def test_the_variables_of_another_stack_do_not_reach_the_demonstration():
    exported = {
        "TENANTRY_GATEWAY_URL": "http://127.0.0.1:8080",
        "TENANTRY_API_KEY": "tnt_other",
        "DATABASE_URL": "postgresql://other",
        "REDIS_URL": "redis://other",
        "DJANGO_SETTINGS_MODULE": "other",
        "PATH": "/usr/bin",
    }

    assert foreign_variables(exported) == {"PATH": "/usr/bin"}


@pytest.mark.nightly
@pytest.mark.model
@pytest.mark.timeout(900)
def test_the_demonstration_ends_by_itself_and_every_task_ended_once(tmp_path):
    done = subprocess.run(
        [sys.executable, "manage.py", "demo_cluster", "--tasks", "12"],
        cwd=CHECKOUT,
        env=environment_with(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((CHECKOUT / ".tenantry" / "demo-cluster.json").read_text())
    assert len(report["tasks"]) == 18
    assert set(report["ends"]) == {1}
