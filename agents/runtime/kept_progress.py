"""Keeps what a stored run has come to, and asks people for it: the loop's ports to the table."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from agents.errors import RunNotKept
from agents.runtime.budget import Progress
from agents.runtime.items import ApprovalRequest, Item
from agents.runtime.machinery import Machinery
from agents.runtime.paused_run import PausedRun, write_paused
from agents.runtime.ports import Plan
from agents.runtime.verdict import Verdict
from kernel.errors import Overloaded
from tenants.admission.principal import Principal

log = logging.getLogger(__name__)


class Stored(Protocol):
    """The run, as far as it is asked here."""

    id: str
    principal: Principal

    async def is_begun(self) -> bool: ...

    def paused(self, plan: Plan, progress: Progress, items: Sequence[Item]) -> PausedRun: ...


class KeptProgress:
    """Implements the loop's `Checkpoint` and `Approvals` for one run."""

    def __init__(self, run: Stored, plan: Plan, machinery: Machinery) -> None:
        self._run = run
        self._plan = plan
        self._machinery = machinery
        self._items = list(plan.items)

    def text(self, progress: Progress, items: Sequence[Item]) -> str:
        """The checkpoint as the table gets it."""
        return write_paused(self._run.paused(self._plan, progress, items))

    async def save(self, progress: Progress, items: Sequence[Item]) -> None:
        """Keep the progress. If the table is away the run goes on: its end has all of it."""
        self._items += items
        try:
            if await self._run.is_begun():
                text = self.text(progress, self._items)
                await self._machinery.store.save(self._run.id, self._machinery.worker, text)
        except Overloaded as error:
            log.warning("a step of a run was not kept: %s", error.code)

    async def ask_people(self, requests: Sequence[ApprovalRequest]) -> Mapping[str, Verdict]:
        """Raises Overloaded: a call that nobody could be asked about is not made."""
        if not await self._run.is_begun():
            raise RunNotKept(retry_after=1)
        tenant_id = self._run.principal.tenant_id
        return await self._machinery.store.ask_people(tenant_id, self._run.id, requests)
