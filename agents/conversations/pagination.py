"""Lists of conversations and of their items, page by page."""

from typing import TypeVar

from django.db.models import Model, QuerySet

from agents.conversations.history import as_item, find_conversation
from agents.conversations.store import facts_of, find_item
from agents.models import Conversation, Item
from agents.schema.history import ConversationFacts, Page, PageRequest
from agents.schema.items import Item as ItemValue
from tenants.scoping import tenant_scope

M = TypeVar("M", bound=Model)


def list_conversations(tenant_id: int, *, paging: PageRequest) -> Page[ConversationFacts]:
    """Return a page of conversations, ordered by creation.

    Raises NotFound if `after` is not a conversation of this tenant.
    """
    with tenant_scope(tenant_id):
        after = find_conversation(paging.after).pk if paging.after else None
        rows, has_more = page_of(Conversation.objects.all(), paging, by="pk", after=after)
    return Page(data=tuple(map(facts_of, rows)), has_more=has_more)


def list_items(tenant_id: int, *, conversation: str, paging: PageRequest) -> Page[ItemValue]:
    """Return a page of items. Raises NotFound, also if `after` is not in this conversation."""
    with tenant_scope(tenant_id):
        place = find_conversation(conversation)
        after = find_item(place, paging.after).position if paging.after else None
        items = Item.objects.filter(conversation=place)
        rows, has_more = page_of(items, paging, by="position", after=after)
    return Page(data=tuple(map(as_item, rows)), has_more=has_more)


def show_item(tenant_id: int, *, conversation: str, item: str) -> ItemValue:
    """Raises NotFound."""
    with tenant_scope(tenant_id):
        return as_item(find_item(find_conversation(conversation), item))


def page_of(
    rows: QuerySet[M], paging: PageRequest, *, by: str, after: int | None
) -> tuple[list[M], bool]:
    """Return the rows of a page, and whether there are more after it."""
    if after is not None:
        rows = rows.filter(**{f"{by}__{'lt' if paging.newest_first else 'gt'}": after})
    found = list(rows.order_by(f"-{by}" if paging.newest_first else by)[: paging.limit + 1])
    return found[: paging.limit], len(found) > paging.limit
