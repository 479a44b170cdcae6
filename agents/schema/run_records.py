"""What the runner and the table of runs tell each other, as plain values."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from agents.schema.approval_decision import ApprovalDecision
from agents.schema.history import History
from agents.schema.items import ApprovalRequest, Item, StoredItem
from agents.schema.json_types import Json
from tenants.admission.usage.records import Usage

LEASE_SECONDS = 15
"""For which a run counts as alive without a word of its worker."""
RENEW_SECONDS = 5.0

EndState = Literal["completed", "failed", "incomplete", "cancelled"]
TERMINAL: frozenset[str] = frozenset({"completed", "failed", "incomplete", "cancelled"})
ROLLBACK = "rollback"
"""Why a run is to be cancelled, if what it said is to be forgotten."""
APPROVAL_EXPIRED = "approval_expired"
"""Why a run is incomplete for which nobody decided."""
UNDECIDED = "Error: The run ended before a person had decided about this call."
WORKER_DIED = {
    "code": "worker_died",
    "message": "The gateway that ran this response was lost. Ask again.",
}


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it begins."""

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
    """Of what was asked: the same `client_id` with something else is a mistake."""
    request: Json = {}
    background: bool = False
    store: bool = True
    waits: bool = False
    """Whether it has to be claimed before it runs, because others come first."""

    @property
    def stands_alone(self) -> bool:
        """Nothing that is in the table already has a say in whether it begins."""
        return not (self.conversation or self.previous or self.client_id)


class RunInserted(msgspec.Struct, frozen=True, kw_only=True):
    """The run is in the table."""

    pk: int


class BusyConversation(msgspec.Struct, frozen=True, kw_only=True):
    """It is not: another run of its conversation goes on."""

    run_id: str
    waiting: int
    """Runs of the conversation that have not ended, the running one included."""


class DuplicateRun(msgspec.Struct, frozen=True, kw_only=True):
    """It is there already, by its client's own name of it."""

    run_id: str
    fingerprint: str


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended, with what is to be kept of it."""

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
    """A run that waits for a person from now on."""

    id: str
    worker: str
    checkpoint: str
    """What another worker needs to go on, as `agents.runtime.pausing.checkpoint` writes it."""
    usage: Usage
    steps: int
    tool_calls: int


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run as the table knows it."""

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


class InputPage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the items that a client brought."""

    items: tuple[Item, ...]
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStore:
    """The table of runs, asked from asyncio. Everything raises Overloaded while it is away.

    What is about one run also raises NotFound, the same for another tenant's as for none.
    """

    begin: Callable[[NewRun], Awaitable[RunInserted | BusyConversation | DuplicateRun]]
    claim: Callable[[str, str], Awaitable[bool]]
    """Run id and worker. False while others of its conversation come first."""
    renew: Callable[[str, Sequence[str]], Awaitable[Mapping[str, str]]]
    """Worker and run ids. Answers those that are still its, with why they are to be cancelled."""
    finish: Callable[[EndedRun], Awaitable[bool]]
    """False if it has ended already: then nothing of this is kept."""
    discard: Callable[[int, str], Awaitable[None]]
    """Tenant and run id, of a run that was refused before it began."""
    ask_cancel: Callable[[int, str, str], Awaitable[RunRecord]]
    """Tenant, run id and why. The run as it is then; harmless when it has ended."""
    load: Callable[[int, str], Awaitable[RunRecord]]
    """Tenant and run id. With its output, if it has ended and is kept."""
    load_ended: Callable[[str], Awaitable[RunRecord | None]]
    """Run id, of a run that the reader was shown. None while it goes on."""
    load_items: Callable[[int, Sequence[str]], Awaitable[Mapping[str, Item]]]
    """Tenant and ids of stored items: those that are this tenant's, by id."""
    load_input: Callable[..., Awaitable[InputPage]]
    """Tenant and run id; by keyword `after`, `limit`, `newest_first`."""
    delete: Callable[[int, str], Awaitable[None]]
    """Tenant and run id. Raises RunIsActive."""
    history: Callable[..., Awaitable[History]]
    """Tenant; by keyword `conversation` and `previous_response`."""
    keep_summary: Callable[..., Awaitable[None]]
    """Tenant; by keyword `conversation`, `summary` and the item's id `through` which it stands."""
    save: Callable[[str, str, str], Awaitable[None]]
    """Run id, worker and checkpoint: what a run has come to."""
    create_approvals: Callable[
        [int, str, Sequence[ApprovalRequest]], Awaitable[Mapping[str, ApprovalDecision]]
    ]
    """Tenant, run id and calls that a person must allow. What is decided by now, by request."""
    pause: Callable[[PausedState], Awaitable[str | None]]
    """None if it waits; else "lost", or why it was to be cancelled meanwhile."""
    find_decided: Callable[[], Awaitable[Sequence[str]]]
    """Runs that waited, and about which everything is decided by now."""
    load_decided: Callable[[str], Awaitable[tuple[int, str] | None]]
    """Tenant and checkpoint of such a run; None if it is none."""
    claim_decided: Callable[[str, str], Awaitable[bool]]
    """Run id and worker. Of many workers one gets True, and goes on with it."""
    decide: Callable[..., Awaitable[str]]
    """Tenant, run, approval; by keyword `approve`, `reason` and `by`. Raises ApprovalResolved."""
    begun_with: Callable[..., Awaitable[tuple[str, int | None] | None]]
    """Tenant; by keyword `conversation` and `previous_response`: the agent and revision that it was
    begun with. None if nobody says, or if it is not there."""
    begun_since: Callable[[int, str, str | None], Awaitable[Sequence[str]]]
    """Tenant, conversation and run id: the runs that began there after that one, in order."""
    last_begun: Callable[[int, str], Awaitable[tuple[str | None, bool]]]
    """Tenant and conversation: the run that began last, and whether it goes on."""


def sum_usage(one: Usage, other: Usage) -> Usage:
    """Both together."""
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        completion_tokens=one.completion_tokens + other.completion_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        estimated=one.estimated or other.estimated,
    )
