"""Keeps what a stored run has come to, and asks people for it: the loop's ports to the table."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from agents.errors import RunNotKept
from agents.runtime.loop.budget import Progress
from agents.runtime.loop.ports import RunPlan
from agents.runtime.pausing.checkpoint import RunCheckpoint, dump_checkpoint
from agents.schema.approval_decision import ApprovalDecision
from agents.schema.items import ApprovalRequest, Item
from agents.schema.run_records import RunStore
from kernel.errors import Overloaded

log = logging.getLogger(__name__)

IsBegun = Callable[[], Awaitable[bool]]
"""Whether the table has the run."""


class Stored(Protocol):
    """The run, as far as it is asked here."""

    @property
    def id(self) -> str: ...

    @property
    def tenant_id(self) -> int: ...

    @property
    def worker(self) -> str: ...

    @property
    def store(self) -> RunStore: ...

    def as_paused(
        self, plan: RunPlan, progress: Progress, items: Sequence[Item]
    ) -> RunCheckpoint: ...


class CheckpointWriter:
    """Implements the loop's `Checkpoint` and `Approvals` for one run."""

    def __init__(self, run: Stored, plan: RunPlan, *, is_begun: IsBegun) -> None:
        self._run = run
        self._plan = plan
        self._is_begun = is_begun
        self._items = list(plan.items)

    def text(self, progress: Progress, items: Sequence[Item]) -> str:
        """The checkpoint as the table gets it."""
        return dump_checkpoint(self._run.as_paused(self._plan, progress, items))

    async def save(self, progress: Progress, items: Sequence[Item]) -> None:
        """Keep the progress. If the table is away the run goes on: its end has all of it."""
        self._items += items
        run = self._run
        try:
            if await self._is_begun():
                text = self.text(progress, self._items)
                await run.store.save(run.id, run.worker, text)
        except Overloaded as error:
            log.warning("runs: checkpoint not saved (error=%s)", error.code)

    async def create_approvals(
        self, requests: Sequence[ApprovalRequest]
    ) -> Mapping[str, ApprovalDecision]:
        """Raises Overloaded: a call that nobody could be asked about is not made."""
        if not await self._is_begun():
            raise RunNotKept(retry_after=1)
        return await self._run.store.create_approvals(self._run.tenant_id, self._run.id, requests)
