"""Tasks as the doors use them. `config` provides the implementation."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from agents.schema.history import Page, PageRequest
from agents.schema.json_types import Json
from agents.schema.routing.tasks import NewTask, TaskRecord
from agents.schema.run_request import RunRequest
from tenants.admission.principal import Principal


class RunOfTask(msgspec.Struct, frozen=True, kw_only=True):
    """What the choice of an agent adds to the run of a task."""

    task_id: str
    agent: str
    output_format: Json | None
    """A `text.format` of Responses, of the capability's output schema."""


MakeRun = Callable[[RunOfTask], RunRequest]


class SubmittedTask(msgspec.Struct, frozen=True, kw_only=True):
    """The result of submitting a task."""

    id: str
    is_new: bool
    """False if the idempotency key had submitted this task before."""
    record: TaskRecord | None = None
    """The task, if it is known without reading it."""


class Tasks(Protocol):
    """Each raises NotFound for what is not the tenant's, and DatabaseUnavailable in an outage."""

    async def submit(self, principal: Principal, task: NewTask, make_run: MakeRun) -> SubmittedTask:
        """Choose an agent, and start a background run of it, once per idempotency key.

        Raises ModelNotFound for a requested agent, NoCapableAgent, AgentPaused, QueueFull,
        IdempotencyMismatch, and InvalidParameter for an input that a schema refuses.
        """

    async def load(self, tenant_id: int, *, task: str) -> TaskRecord:
        """Return a task with its output."""

    async def list(self, tenant_id: int, *, paging: PageRequest) -> Page[TaskRecord]:
        """Return a page of tasks, without their output."""
