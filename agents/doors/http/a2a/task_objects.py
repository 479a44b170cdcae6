"""Tasks of A2A from runs: states, artifacts and history."""

from collections.abc import Mapping

from a2a.types import Task, TaskState, TaskStatus
from google.protobuf.timestamp_pb2 import Timestamp

from agents.doors.http.a2a.parts import agent_message, artifacts_of, history_of
from agents.schema.a2a.tasks import A2aTask
from agents.schema.stored_items import client_view

STATES: Mapping[str, TaskState] = {
    "queued": TaskState.TASK_STATE_SUBMITTED,
    "in_progress": TaskState.TASK_STATE_WORKING,
    "requires_approval": TaskState.TASK_STATE_INPUT_REQUIRED,
    "completed": TaskState.TASK_STATE_COMPLETED,
    "failed": TaskState.TASK_STATE_FAILED,
    "incomplete": TaskState.TASK_STATE_FAILED,
    "cancelled": TaskState.TASK_STATE_CANCELED,
}
"""The state of a task by the state of its run."""
INCOMPLETE = "The task ended before it was complete: {reason}. What there is, is in the artifacts."
APPROVAL = (
    "A person must approve the call of {name}. Send a message to this task with a data part: "
    '{{"approve": true}}, or false with a "reason".'
)


def run_states_of(state: TaskState) -> tuple[str, ...]:
    """Return the states of runs whose tasks have this state."""
    return tuple(name for name, shown in STATES.items() if shown == state)


def task_object(task: A2aTask) -> Task:
    """Return a task with its history and artifacts."""
    ids = {"task_id": task.id, "context_id": task.context_id}
    return Task(
        id=task.id,
        context_id=task.context_id,
        status=status_of(task),
        artifacts=artifacts_of(client_view(task.run.output)),
        history=history_of(task.input, message_id=task.message_id, **ids),
    )


def status_of(task: A2aTask) -> TaskStatus:
    status = TaskStatus(state=STATES[task.run.state], timestamp=timestamp(task.changed_at))
    if text := explanation_of(task):
        status.message.CopyFrom(
            agent_message(
                text,
                message_id=f"{task.id}-status",
                task_id=task.id,
                context_id=task.context_id,
            )
        )
    return status


def explanation_of(task: A2aTask) -> str:
    """Return why a task failed or waits; empty for the other states."""
    run = task.run
    if run.error is not None:
        return str(run.error["message"])
    if run.state == "incomplete":
        return INCOMPLETE.format(reason=run.reason)
    if run.state == "requires_approval":
        return APPROVAL.format(name=", ".join(task.pending.values()) or "a tool")
    return ""


def timestamp(seconds: float) -> Timestamp:
    """Return a time in seconds since 1970 as protobuf has it."""
    found = Timestamp()
    found.FromMicroseconds(round(seconds * 1_000_000))
    return found
