"""Tasks, as values between the doors, their submission and the table of tasks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from agents.schema.items import Item
from agents.schema.json_types import Json
from agents.schema.run_records import TERMINAL
from tenants.admission.usage.records import Usage

STATES = {
    "queued": "queued",
    "in_progress": "running",
    "requires_approval": "requires_approval",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""The states of runs, and those of their tasks. An incomplete run is `expired` or `failed`."""
EXPIRED = "expired"
"""The state of a task, and the reason of its run, whose deadline passed in the run queue."""
NOTIFIED_STATES = ("completed", "failed", "cancelled", EXPIRED)
"""The states in which a task has ended."""
INCOMPLETE = "The run ended before it was complete. See the code."


def task_state(run_state: str, reason: str) -> str:
    """Return the state of a task, by the state and incomplete reason of its run."""
    if run_state == "incomplete":
        return EXPIRED if reason == EXPIRED else "failed"
    return STATES[run_state]


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A valid task of a client."""

    required_capabilities: tuple[str, ...]
    input: Any
    agent: str = ""
    """The agent that the client requested; empty if any will do."""
    priority: int = 0
    deadline: datetime | None = None
    idempotency_key: str
    callback_url: str = ""
    metadata: Mapping[str, str] = {}
    fingerprint: str = ""
    """A hash of the request: a key must not be used for two different tasks."""


class KnownTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that exists under its idempotency key."""

    id: str
    agent: str
    fingerprint: str
    run_id: str | None
    """None if the task was never accepted, or is being accepted now."""
    is_new: bool = False
    """Whether the task was inserted just now."""
    explanation: Json | None = None
    """The explanation of the choice, if the task was inserted just now."""


class TaskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of tasks with its run. Times are in seconds since 1970."""

    id: str
    run_id: str
    run_state: str
    reason: str
    """The reason of an incomplete run."""
    required_capabilities: tuple[str, ...]
    input: Any
    requested_agent: str
    agent: str
    revision: int | None
    explanation: Json
    priority: int
    deadline: int | None
    idempotency_key: str
    callback_url: str
    metadata: Json
    node: str
    """The name of the node that executes or executed the run; empty if it is not known."""
    attempts: int
    created_at: int
    started_at: int | None
    ended_at: int | None
    usage: Usage
    error: Json | None
    output: tuple[Item, ...] | None = None
    """None in lists."""

    @property
    def is_over(self) -> bool:
        return self.run_state in TERMINAL

    @property
    def state(self) -> str:
        return task_state(self.run_state, self.reason)

    @property
    def problem(self) -> Json | None:
        """The code and message of a task that failed or expired."""
        if self.error is not None:
            return {"code": self.error["code"], "message": self.error["message"]}
        if self.run_state == "incomplete":
            return {"code": self.reason, "message": INCOMPLETE}
        return None


def queued_record(
    task: NewTask, known: KnownTask, *, run_id: str, revision: int | None, now: float
) -> TaskRecord:
    """Return the record of a task whose run was queued at `now`, in seconds since 1970."""
    return TaskRecord(
        id=known.id,
        run_id=run_id,
        run_state="queued",
        reason="",
        required_capabilities=task.required_capabilities,
        input=task.input,
        requested_agent=task.agent,
        agent=known.agent,
        revision=revision,
        explanation=known.explanation or {},
        priority=task.priority,
        deadline=None if task.deadline is None else int(task.deadline.timestamp()),
        idempotency_key=task.idempotency_key,
        callback_url=task.callback_url,
        metadata=dict(task.metadata),
        node="",
        attempts=0,
        created_at=int(now),
        started_at=None,
        ended_at=None,
        usage=Usage(),
        error=None,
        output=(),
    )
