"""Tasks of the A2A protocol for the gateway, on database threads."""

from collections.abc import Sequence

from agents.a2a import push_configs
from agents.a2a import tasks as rows
from agents.schema.a2a.tasks import A2aStore, A2aTask, PushTarget, TaskPage, TaskQuery
from config.gateway.database.queries import GatewayDatabase
from kernel.egress.client import configured_egress
from kernel.storage.cache import LoadingCache

TENANT_TTL_SECONDS = 15.0
MAX_CACHED_TENANTS = 10_000


class DatabaseA2aStore(A2aStore):
    """Implements `A2aStore` with PostgreSQL."""

    def __init__(self, database: GatewayDatabase) -> None:
        self._query = database.query
        # Agent cards are read without a key, also by whoever guesses names.
        self._tenants = LoadingCache(
            self._load_tenant, ttl=TENANT_TTL_SECONDS, size=MAX_CACHED_TENANTS
        )

    async def find_tenant(self, slug: str) -> int | None:
        return await self._tenants.get(slug)

    async def load(self, tenant_id: int, *, agent: str, task: str) -> A2aTask:
        return await self._query(rows.load_task, tenant_id, agent=agent, task=task)

    async def list(self, tenant_id: int, query: TaskQuery) -> TaskPage:
        return await self._query(rows.list_tasks, tenant_id, query)

    def ensure_push_target(self, target: PushTarget) -> None:
        configured_egress().ensure_target(target.url)

    async def add_push_target(
        self, tenant_id: int, *, agent: str, task: str, target: PushTarget
    ) -> None:
        await self._query(
            push_configs.add_push_config, tenant_id, agent=agent, task=task, target=target
        )

    async def push_targets(self, tenant_id: int, *, agent: str, task: str) -> Sequence[PushTarget]:
        return await self._query(push_configs.list_push_configs, tenant_id, agent=agent, task=task)

    async def remove_push_target(
        self, tenant_id: int, *, agent: str, task: str, target_id: str
    ) -> None:
        await self._query(
            push_configs.remove_push_config,
            tenant_id,
            agent=agent,
            task=task,
            target_id=target_id,
        )

    async def _load_tenant(self, slug: str) -> int | None:
        return await self._query(rows.find_tenant, slug)
