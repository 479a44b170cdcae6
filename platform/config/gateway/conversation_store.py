"""Conversations for the gateway: the store on database threads, and the cache in front of it."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from redis.asyncio import Redis

from agents.conversations import pagination
from agents.conversations import store as conversation_store
from agents.doors.base.conversation_ports import Receipt
from agents.erasure import service as erasure
from agents.runtime.context.history_cache import ContextCache

P = ParamSpec("P")
T = TypeVar("T")

Ask = Callable[..., Awaitable[Any]]
"""`await ask(function, *args, **kwargs)` runs a query on a thread. Raises DatabaseAway."""


class DatabaseConversations:
    """`agents.doors.base.conversation_ports.Conversations`: the promises are there."""

    def __init__(self, ask: Ask, *, redis: Redis) -> None:
        self.create = asking(ask, conversation_store.create_conversation)
        self.discard_empty = asking(ask, conversation_store.discard_empty)
        self.read = asking(ask, conversation_store.read_conversation)
        self.list = asking(ask, pagination.list_conversations)
        self.change = asking(ask, conversation_store.change_metadata)
        self.erase = asking(ask, erase_conversation)
        self.items = asking(ask, pagination.list_items)
        self.item = asking(ask, pagination.show_item)
        self.delete_item = asking(ask, conversation_store.delete_item)
        self.append = asking(ask, conversation_store.append_items)
        self.keep_summary = asking(ask, conversation_store.keep_summary)
        cache = ContextCache(
            redis,
            load=asking(ask, conversation_store.load_history),
            version=asking(ask, conversation_store.read_version),
        )
        self.history = cache.history


def asking(ask: Ask, function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """`function` as something to be awaited."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = await ask(function, *args, **kwargs)
        return answer

    return call


def erase_conversation(tenant_id: int, *, conversation: str, by: str) -> Receipt:
    row = erasure.erase_conversation(tenant_id, conversation=conversation, by=by)
    return Receipt(id=row.public_id, counts=row.counts, finished=row.finished_at is not None)
