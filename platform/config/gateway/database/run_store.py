"""The table of runs for the gateway: on database threads, except for start and end of a run."""

from collections.abc import Mapping, Sequence

from psycopg.errors import UniqueViolation

from agents.runs import paused_runs, queue
from agents.runs import store as rows
from agents.runs.statements import duplicate_statement, finish_statement, insert_statement
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
from agents.schema.run_store import RunStore
from config.gateway.database.conversation_store import DatabaseConversations
from config.gateway.database.queries import GatewayDatabase


class DatabaseRunStore(RunStore):
    """Implements `RunStore` with PostgreSQL."""

    def __init__(self, database: GatewayDatabase, *, conversations: DatabaseConversations) -> None:
        self._query = database.query
        self._execute = database.execute
        self._conversations = conversations

    async def insert(self, run: NewRun) -> RunInserted | BusyConversation | DuplicateRun:
        if not run.is_independent:
            return await self._query(rows.insert_run, run)
        # A task that this request has inserted has no run yet.
        is_first = run.queue is not None and run.queue.new_task
        if run.client_id and not is_first:
            for run_id, fingerprint in await self._execute(duplicate_statement(run)):
                return DuplicateRun(run_id=run_id, fingerprint=fingerprint)
        try:
            return rows.inserted(await self._execute(insert_statement(run)))
        except UniqueViolation:
            # A duplicate was inserted at the same time.
            return await self._query(rows.insert_run, run)

    async def claim_queued(
        self, worker: str, *, limit: int, excluded: Sequence[str]
    ) -> Sequence[ClaimedRun]:
        return await self._query(queue.claim_queued, worker=worker, limit=limit, excluded=excluded)

    async def requeue_dead(self) -> int:
        return await self._query(queue.requeue_dead_runs)

    async def release(self, run_id: str, worker: str) -> bool:
        return await self._query(queue.release_run, run_id, worker)

    async def claim(self, run_id: str, worker: str) -> bool:
        return await self._query(rows.claim_run, run_id, worker)

    async def renew(self, worker: str, run_ids: Sequence[str]) -> Mapping[str, str]:
        return await self._query(rows.renew_runs, worker, run_ids)

    async def finish(self, run: EndedRun) -> bool:
        return bool(await self._execute(finish_statement(run)))

    async def discard(self, tenant_id: int, run_id: str) -> None:
        await self._query(rows.discard_run, tenant_id, run_id)

    async def request_cancel(self, tenant_id: int, run_id: str, why: str) -> RunRecord:
        return await self._query(rows.request_cancel, tenant_id, run_id, why)

    async def delete(self, tenant_id: int, run_id: str) -> None:
        await self._query(rows.delete_run, tenant_id, run_id)

    async def load(self, tenant_id: int, run_id: str) -> RunRecord:
        return await self._query(rows.load_run, tenant_id, run_id)

    async def load_ended(self, run_id: str) -> RunRecord | None:
        return await self._query(rows.load_ended, run_id)

    async def load_items(self, tenant_id: int, item_ids: Sequence[str]) -> Mapping[str, Item]:
        return await self._query(rows.load_items, tenant_id, item_ids)

    async def load_input(
        self, tenant_id: int, run_id: str, *, after: str | None, limit: int, newest_first: bool
    ) -> InputPage:
        return await self._query(
            rows.load_input, tenant_id, run_id, after=after, limit=limit, newest_first=newest_first
        )

    async def history(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History:
        return await self._conversations.history(
            tenant_id, conversation=conversation, previous_response=previous_response
        )

    async def store_summary(
        self, tenant_id: int, *, conversation: str, summary: Summary, through: str
    ) -> None:
        await self._conversations.store_summary(
            tenant_id, conversation=conversation, summary=summary, through=through
        )

    async def initial_revision(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> tuple[str, int | None] | None:
        return await self._query(
            rows.initial_revision,
            tenant_id,
            conversation=conversation,
            previous_response=previous_response,
        )

    async def runs_started_since(
        self, tenant_id: int, conversation: str, run_id: str | None
    ) -> Sequence[str]:
        return await self._query(rows.runs_started_since, tenant_id, conversation, run_id)

    async def last_started_run(self, tenant_id: int, conversation: str) -> tuple[str | None, bool]:
        return await self._query(rows.last_started_run, tenant_id, conversation)

    async def save_checkpoint(self, run_id: str, worker: str, checkpoint: str) -> bool:
        return await self._query(paused_runs.save_checkpoint, run_id, worker, checkpoint)

    async def create_approvals(
        self, tenant_id: int, run_id: str, requests: Sequence[ApprovalRequest]
    ) -> Mapping[str, ApprovalDecision]:
        return await self._query(paused_runs.create_approvals, tenant_id, run_id, requests)

    async def pause(self, run: PausedState) -> str | None:
        return await self._query(paused_runs.pause_run, run)

    async def find_decided(self) -> Sequence[str]:
        return await self._query(paused_runs.find_decided)

    async def load_decided(self, run_id: str) -> tuple[int, str] | None:
        return await self._query(paused_runs.load_decided, run_id)

    async def claim_decided(self, run_id: str, worker: str) -> int | None:
        return await self._query(paused_runs.claim_decided, run_id, worker)

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
        return await self._query(
            paused_runs.decide,
            tenant_id,
            run_id,
            approval_id,
            approve=approve,
            reason=reason,
            by=by,
        )
