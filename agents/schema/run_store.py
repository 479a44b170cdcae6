"""The table of runs, as the runtime and the doors use it from asyncio. `config` implements it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from agents.schema.approval_decision import ApprovalDecision
from agents.schema.history import History
from agents.schema.items import ApprovalRequest, Item, Summary
from agents.schema.run_records import (
    BusyConversation,
    ClaimedRun,
    DuplicateRun,
    EndedRun,
    InputPage,
    NewRun,
    PausedState,
    RunInserted,
    RunRecord,
)


class RunStore(Protocol):
    """Every method raises Overloaded while PostgreSQL is unavailable.

    A method with a `tenant_id` raises NotFound for a run, conversation or approval that does not
    exist, and the same for one of another tenant.
    """

    # Life cycle

    async def insert(self, run: NewRun) -> RunInserted | BusyConversation | DuplicateRun:
        """Insert a run, unless its conversation is busy or its `client_id` is used.

        Raises QueueFull.
        """

    async def claim_queued(
        self, worker: str, *, limit: int, excluded: Sequence[str]
    ) -> Sequence[ClaimedRun]:
        """Claim up to `limit` runs of the run queue, in the order of fairness between tenants.

        `excluded` are the agents, as `<tenant id>/<slug>`, that this worker may not execute.
        """

    async def requeue_dead(self) -> int:
        """Return the runs of dead workers to the run queue that another worker can continue."""

    async def release(self, run_id: str, worker: str) -> bool:
        """Return a run to the run queue. False if `worker` does not hold it, or it cannot go on."""

    async def claim(self, run_id: str, worker: str) -> bool:
        """Start a queued run. False while earlier runs of its conversation have not ended."""

    async def renew(self, worker: str, run_ids: Sequence[str]) -> Mapping[str, str]:
        """Renew the leases of a worker's runs.

        Returns the runs that the worker still holds, each with the reason of a requested
        cancellation, which is empty if none was requested.
        """

    async def finish(self, run: EndedRun) -> bool:
        """Store the end of a run. False, with nothing stored, if it had ended before."""

    async def discard(self, tenant_id: int, run_id: str) -> None:
        """Delete a run that was refused before it started. Harmless if there is none."""

    async def request_cancel(self, tenant_id: int, run_id: str, why: str) -> RunRecord:
        """Request a cancellation. Returns the run as it is then; harmless if it has ended."""

    async def delete(self, tenant_id: int, run_id: str) -> None:
        """Delete a stored run that has ended. Raises RunIsActive."""

    # Reading

    async def load(self, tenant_id: int, run_id: str) -> RunRecord:
        """Return a run, with its output if it has ended and is stored."""

    async def load_ended(self, run_id: str) -> RunRecord | None:
        """Return a run that has ended, for a reader that was authorized before.

        None if it is active.
        """

    async def load_items(self, tenant_id: int, item_ids: Sequence[str]) -> Mapping[str, Item]:
        """Return the tenant's items among `item_ids`, by id."""

    async def load_input(
        self, tenant_id: int, run_id: str, *, after: str | None, limit: int, newest_first: bool
    ) -> InputPage:
        """Return a page of a run's input items. Raises InvalidParameter for `after`."""

    async def history(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History:
        """Return the items before a run, of its conversation or of earlier responses."""

    async def store_summary(
        self, tenant_id: int, *, conversation: str, summary: Summary, through: str
    ) -> None:
        """Store a summary that replaces, for models, every item up to the item id `through`."""

    async def initial_revision(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> tuple[str, int | None] | None:
        """Return the slug and revision that a conversation started with, or that made a response.

        None if there is no such row.
        """

    async def runs_started_since(
        self, tenant_id: int, conversation: str, run_id: str | None
    ) -> Sequence[str]:
        """Return the runs of a conversation that started after `run_id`, in order; for None all."""

    async def last_started_run(self, tenant_id: int, conversation: str) -> tuple[str | None, bool]:
        """Return the newest run of a conversation that has started, and whether it is running."""

    # Approvals

    async def save_checkpoint(self, run_id: str, worker: str, checkpoint: str) -> bool:
        """Store the progress of a run. False if `worker` does not hold it any more."""

    async def create_approvals(
        self, tenant_id: int, run_id: str, requests: Sequence[ApprovalRequest]
    ) -> Mapping[str, ApprovalDecision]:
        """Create approvals for calls, unless they exist. Returns the decisions so far, by id."""

    async def pause(self, run: PausedState) -> str | None:
        """Pause a run, which then has no worker. Returns None if it is paused.

        Else returns "lost" if another worker has taken it, or the reason of a cancellation.
        """

    async def find_decided(self) -> Sequence[str]:
        """Return paused runs whose approvals are all decided, the oldest first."""

    async def load_decided(self, run_id: str) -> tuple[int, str] | None:
        """Return the tenant and checkpoint of a paused run with decided approvals, or None."""

    async def claim_decided(self, run_id: str, worker: str) -> int | None:
        """Resume a paused run whose approvals are decided. Returns its attempt to one of several
        workers, and None to the others.
        """

    async def decide(
        self,
        tenant_id: int,
        run_id: str,
        approval_id: str,
        *,
        approve: bool,
        reason: str,
        by: str,
    ) -> str:
        """Decide an approval. Returns its new state. Raises ApprovalResolved."""
