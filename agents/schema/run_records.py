"""The rows of runs, as values between the runner and the table of runs."""

from datetime import datetime
from typing import Literal

import msgspec

from agents.schema.items import Item, StoredItem
from agents.schema.json_types import Json
from tenants.admission.usage.records import Usage

LEASE_SECONDS = 10
"""A worker that has not renewed the lease of a run for this time has lost the run."""
RENEW_SECONDS = 2.5
MAX_ATTEMPTS = 5
"""A run that has lost this many workers fails: it may be what ends them."""

EndState = Literal["completed", "failed", "incomplete", "cancelled"]
TERMINAL: frozenset[str] = frozenset({"completed", "failed", "incomplete", "cancelled"})
ROLLBACK = "rollback"
"""The reason of a cancellation that also discards the items of the run."""
APPROVAL_EXPIRED = "approval_expired"
"""The reason of an incomplete run whose approval was not decided in time."""
QUEUE_EXPIRED = "expired"
"""The reason of an incomplete run whose deadline passed in the run queue."""
UNDECIDED = "Error: The run ended before a person had decided about this call."
WORKER_DIED = {
    "code": "worker_died",
    "message": "The gateway that executed this response has failed. Send the request again.",
}


class QueueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a run in the run queue."""

    priority: int = 0
    deadline: datetime | None = None
    max_queued: int
    """The maximum number of queued runs of the tenant."""
    new_task: str = ""
    """Id of the task that this request has inserted, which is linked with the run at once."""


class ClaimedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A queued run that a worker has claimed."""

    id: str
    tenant_id: int
    checkpoint: str
    attempt: int
    """1 for the first worker of the run."""


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be inserted."""

    id: str
    tenant_id: int
    worker: str
    door: str
    model: str
    agent: str = ""
    agent_revision: int | None = None
    route: str = ""
    api_key_id: int | None = None
    member_id: int | None = None
    conversation: str | None = None
    previous: str | None = None
    client_id: str = ""
    fingerprint: str = ""
    """A hash of the request: a `client_id` must not be used for two different requests."""
    request: Json = {}
    background: bool = False
    store: bool = True
    waits: bool = False
    """Whether the run must be claimed before it starts, because other runs come first."""
    checkpoint: str = ""
    """The state from which another worker can continue the run, if this one dies."""
    queue: QueueEntry | None = None
    """For a run that an agent node claims. Its `worker` is empty."""

    @property
    def is_independent(self) -> bool:
        """Whether no other row decides if the run may start, but a run of its `client_id`."""
        return not (self.conversation or self.previous)


class RunInserted(msgspec.Struct, frozen=True, kw_only=True):
    """The run was inserted."""

    pk: int
    is_linked: bool = False
    """Whether the task of its `QueueEntry` is linked with it."""


class BusyConversation(msgspec.Struct, frozen=True, kw_only=True):
    """The run was not inserted: another run of its conversation is active."""

    run_id: str
    waiting: int
    """The number of active runs of the conversation, the running one included."""


class DuplicateRun(msgspec.Struct, frozen=True, kw_only=True):
    """The run exists already, under its `client_id`."""

    run_id: str
    fingerprint: str


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run, with the items to store."""

    id: str
    tenant_id: int
    worker: str
    state: EndState
    usage: Usage
    conversation: str | None = None
    error: Json | None = None
    reason: str = ""
    steps: int = 0
    tool_calls: int = 0
    cache_hit: bool = False
    items: tuple[StoredItem, ...] = ()


class PausedState(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be paused until its approvals are decided."""

    id: str
    worker: str
    checkpoint: str
    """The checkpoint from which another worker can resume the run, as JSON."""
    usage: Usage
    steps: int
    tool_calls: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of runs."""

    id: str
    tenant_id: int
    state: str
    worker: str
    request: Json
    store: bool
    background: bool
    created_at: int
    """Seconds since 1970."""
    ended_at: int | None
    conversation: str | None = None
    previous: str | None = None
    error: Json | None = None
    reason: str = ""
    usage: Usage = Usage()
    output: tuple[Item, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL

    @property
    def is_queued(self) -> bool:
        """Whether the run waits in the run queue."""
        return self.state == "queued" and not self.worker


class InputPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the input items of a run."""

    items: tuple[Item, ...]
    has_more: bool


def sum_usage(one: Usage, other: Usage) -> Usage:
    """Return the sum of two usages; estimated if one of them is."""
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        estimated=one.estimated or other.estimated,
    )
