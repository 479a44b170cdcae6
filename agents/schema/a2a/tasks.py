"""Tasks of the A2A protocol, as values: each is a run that a client has requested over A2A."""

import re
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from agents.schema.items import Item
from agents.schema.run_records import RunRecord

DOOR = "a2a"
"""The door of runs that are tasks."""
MESSAGE_ID = "a2a_message_id"
"""The member of a run's metadata with the id of the message that created the task."""
TASK_ID = re.compile(r"resp_[0-9a-f]{30}")
"""The id of a task is that of its run."""
MAX_COUNTED_TASKS = 10_000
"""A list counts at most so many tasks."""


class A2aTask(msgspec.Struct, frozen=True, kw_only=True):
    """A run with what a task of A2A shows of it."""

    run: RunRecord
    changed_at: float
    """Time of the last transition, in seconds since 1970."""
    input: tuple[Item, ...] = ()
    """The message of the client. Empty while it is not stored yet."""
    last_event: int = -1
    """The number of the last event at the checkpoint of the run."""
    pending: Mapping[str, str] = {}
    """The calls that wait for a decision: the name of the tool by the id of the approval. Empty in
    lists."""

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def context_id(self) -> str:
        return self.run.conversation or ""

    @property
    def message_id(self) -> str:
        metadata: Mapping[str, str] = self.run.request.get("metadata") or {}
        return metadata.get(MESSAGE_ID, "")


class TaskQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks of an agent a page lists, the last changed first."""

    agent: str
    context_id: str = ""
    states: tuple[str, ...] = ()
    """States of runs; empty for all."""
    changed_after: float | None = None
    """Seconds since 1970."""
    before: tuple[int, str] | None = None
    """The last task of the page before: its `changed_at` in microseconds, and its id."""
    limit: int = 50


class TaskPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tasks."""

    tasks: tuple[A2aTask, ...]
    next_before: tuple[int, str] | None
    total: int
    """The number of tasks on all pages, at most MAX_COUNTED_TASKS."""


class PushTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that a client registers for a task."""

    id: str
    url: str
    token: str = ""
    scheme: str = ""
    credential: str = ""


class A2aStore(Protocol):
    """Tasks of A2A in the table of runs. `config` implements it.

    Each method raises NotFound for what is not a task of this agent and tenant, and
    DatabaseUnavailable in an outage.
    """

    async def find_tenant(self, slug: str) -> int | None:
        """Return the id of an active tenant, or None."""

    async def load(self, tenant_id: int, *, agent: str, task: str) -> A2aTask:
        """Return a task with its input and output."""

    async def list(self, tenant_id: int, query: TaskQuery) -> TaskPage:
        """Return a page of tasks."""

    def ensure_push_target(self, target: PushTarget) -> None:
        """Raises TargetRefused for a webhook that is refused without resolving its host."""

    async def add_push_target(
        self, tenant_id: int, *, agent: str, task: str, target: PushTarget
    ) -> None:
        """Register a webhook, or replace the one with its id.

        Raises TargetRefused, and InvalidParameter if the task has too many.
        """

    async def push_targets(self, tenant_id: int, *, agent: str, task: str) -> Sequence[PushTarget]:
        """Return the webhooks of a task, without their secrets."""

    async def remove_push_target(
        self, tenant_id: int, *, agent: str, task: str, target_id: str
    ) -> None:
        """Remove a webhook. Harmless if there is none."""
