"""The table of tasks for the gateway, on database threads."""

from collections.abc import Mapping, Sequence

from agents.doors.base.task_ports import MakeRun, SubmittedTask, Tasks
from agents.nodes.placement import NodeFacts
from agents.nodes.selectors import load_node_facts
from agents.schema.history import Page, PageRequest
from agents.schema.json_types import Json
from agents.schema.routing.tasks import KnownTask, NewTask, TaskRecord
from agents.tenant_tasks import store as rows
from agents.tenant_tasks.statements import (
    add_statement,
    find_statement,
    known_task,
    link_statement,
)
from agents.tenant_tasks.submission import TaskStore, TaskSubmission
from config.gateway.database.queries import GatewayDatabase
from tenants.admission.principal import Principal


class DatabaseTaskStore(TaskStore):
    """Implements `TaskStore` with PostgreSQL."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._query = database.query
        self._execute = database.execute

    async def find(self, principal: Principal, idempotency_key: str) -> KnownTask | None:
        return known_task(await self._execute(find_statement(principal, idempotency_key)))

    async def add(
        self, principal: Principal, new: NewTask, *, agent: str, explanation: Json
    ) -> KnownTask | None:
        if new.callback_url:
            await self._query(rows.ensure_recipient, principal.tenant_id, new.callback_url)
        statement = add_statement(principal, new, agent=agent, explanation=explanation)
        return known_task(await self._execute(statement))

    async def link(self, tenant_id: int, task_id: str, run_id: str) -> bool:
        return bool(await self._execute(link_statement(tenant_id, task_id, run_id)))

    async def discard(self, tenant_id: int, task_id: str) -> None:
        await self._query(rows.discard_task, tenant_id, task_id)

    async def nodes(self) -> Sequence[NodeFacts]:
        return await self._query(load_node_facts)

    async def loads(self, tenant_id: int) -> Mapping[str, int]:
        return await self._query(rows.count_background_runs, tenant_id)


class DatabaseTasks(Tasks):
    """Implements `Tasks` with PostgreSQL."""

    def __init__(self, database: GatewayDatabase, *, submission: TaskSubmission) -> None:
        self._query = database.query
        self._submission = submission

    async def submit(self, principal: Principal, task: NewTask, make_run: MakeRun) -> SubmittedTask:
        return await self._submission.submit(principal, task, make_run)

    async def load(self, tenant_id: int, *, task: str) -> TaskRecord:
        return await self._query(rows.load_task, tenant_id, task)

    async def list(self, tenant_id: int, *, paging: PageRequest) -> Page[TaskRecord]:
        return await self._query(rows.list_tasks, tenant_id, paging=paging)
