"""The conversation store as the doors use it. `config` provides the implementation."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from agents.schema.history import ConversationFacts, History, Page, PageRequest
from agents.schema.items import Item, StoredItem, Summary


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of an erasure."""

    id: str
    counts: dict[str, int]
    finished: bool
    """Whether the data is erased from Redis, too."""


class Conversations(Protocol):
    """Each raises NotFound for what is not the tenant's, and DatabaseUnavailable in an outage."""

    async def create(
        self,
        tenant_id: int,
        *,
        metadata: Mapping[str, str],
        items: Sequence[StoredItem],
        agent: str = "",
    ) -> ConversationFacts: ...

    async def read(self, tenant_id: int, *, conversation: str) -> ConversationFacts: ...

    async def discard_empty(self, tenant_id: int, *, conversation: str) -> None: ...

    async def list(self, tenant_id: int, *, paging: PageRequest) -> Page[ConversationFacts]: ...

    async def change(
        self, tenant_id: int, *, conversation: str, metadata: Mapping[str, str]
    ) -> ConversationFacts: ...

    async def erase(self, tenant_id: int, *, conversation: str, by: str) -> Receipt: ...

    async def items(
        self, tenant_id: int, *, conversation: str, paging: PageRequest
    ) -> Page[Item]: ...

    async def item(self, tenant_id: int, *, conversation: str, item: str) -> Item: ...

    async def delete_item(
        self, tenant_id: int, *, conversation: str, item: str
    ) -> ConversationFacts: ...

    async def append(
        self,
        tenant_id: int,
        *,
        conversation: str | None,
        run: str | None,
        items: Sequence[StoredItem],
    ) -> None: ...

    async def history(
        self, tenant_id: int, *, conversation: str | None, previous_response: str | None
    ) -> History: ...

    async def store_summary(
        self, tenant_id: int, *, conversation: str, summary: Summary, through: str
    ) -> None: ...
