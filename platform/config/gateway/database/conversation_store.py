"""Conversations for the gateway: the table on database threads, and the cache of histories."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from agents.conversations import pagination
from agents.conversations import store as rows
from agents.doors.base.conversation_ports import Conversations, Receipt
from agents.erasure import service as erasure
from agents.runtime.context.history_cache import ContextCache
from agents.schema.history import ConversationFacts, History, Page, PageRequest
from agents.schema.items import Item, StoredItem, Summary
from config.gateway.database.queries import GatewayDatabase


class DatabaseConversations(Conversations):
    """Implements `Conversations` with PostgreSQL; histories are cached in Redis."""

    def __init__(self, database: GatewayDatabase, *, redis: Redis) -> None:
        self._query = database.query
        self._histories = ContextCache(redis, load=self._load_history, version=self._read_version)

    async def create(
        self,
        tenant_id: int,
        *,
        metadata: Mapping[str, str],
        items: Sequence[StoredItem],
        agent: str = "",
    ) -> ConversationFacts:
        return await self._query(
            rows.create_conversation, tenant_id, metadata=metadata, items=items, agent=agent
        )

    async def read(self, tenant_id: int, *, conversation: str) -> ConversationFacts:
        return await self._query(rows.read_conversation, tenant_id, conversation=conversation)

    async def discard_empty(self, tenant_id: int, *, conversation: str) -> None:
        await self._query(rows.discard_empty, tenant_id, conversation=conversation)

    async def list(self, tenant_id: int, *, paging: PageRequest) -> Page[ConversationFacts]:
        return await self._query(pagination.list_conversations, tenant_id, paging=paging)

    async def change(
        self, tenant_id: int, *, conversation: str, metadata: Mapping[str, str]
    ) -> ConversationFacts:
        return await self._query(
            rows.change_metadata, tenant_id, conversation=conversation, metadata=metadata
        )

    async def erase(self, tenant_id: int, *, conversation: str, by: str) -> Receipt:
        return await self._query(erase_conversation, tenant_id, conversation=conversation, by=by)

    async def items(self, tenant_id: int, *, conversation: str, paging: PageRequest) -> Page[Item]:
        return await self._query(
            pagination.list_items, tenant_id, conversation=conversation, paging=paging
        )

    async def item(self, tenant_id: int, *, conversation: str, item: str) -> Item:
        return await self._query(
            pagination.show_item, tenant_id, conversation=conversation, item=item
        )

    async def delete_item(
        self, tenant_id: int, *, conversation: str, item: str
    ) -> ConversationFacts:
        return await self._query(rows.delete_item, tenant_id, conversation=conversation, item=item)

    async def append(
        self,
        tenant_id: int,
        *,
        conversation: str | None,
        run: str | None,
        items: Sequence[StoredItem],
    ) -> None:
        await self._query(
            rows.append_items, tenant_id, conversation=conversation, run=run, items=items
        )

    async def history(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History:
        return await self._histories.history(
            tenant_id, conversation=conversation, previous_response=previous_response
        )

    async def store_summary(
        self, tenant_id: int, *, conversation: str, summary: Summary, through: str
    ) -> None:
        await self._query(
            rows.store_summary,
            tenant_id,
            conversation=conversation,
            summary=summary,
            through=through,
        )

    async def _load_history(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History:
        return await self._query(
            rows.load_history,
            tenant_id,
            conversation=conversation,
            previous_response=previous_response,
        )

    async def _read_version(self, tenant_id: int, *, conversation: str) -> int:
        return await self._query(rows.read_version, tenant_id, conversation=conversation)


def erase_conversation(tenant_id: int, *, conversation: str, by: str) -> Receipt:
    row = erasure.erase_conversation(tenant_id, conversation=conversation, by=by)
    return Receipt(id=row.public_id, counts=row.counts, finished=row.finished_at is not None)
