"""Lists of conversations and of their items, page by page."""

from typing import TypeVar

from django.db.models import Model, QuerySet

from agents.conversations.history import as_item, find_conversation
from agents.conversations.store import facts_of, find_item
from agents.models import Conversation, Item
from agents.schema.history import ConversationFacts, Page, PageQuestion
from agents.schema.items import Item as SaidItem
from tenants.scoping import tenant_scope

M = TypeVar("M", bound=Model)


def list_conversations(tenant_id: int, *, question: PageQuestion) -> Page[ConversationFacts]:
    """By when they were begun. Raises NotFound if `after` is none of this tenant's."""
    with tenant_scope(tenant_id):
        after = find_conversation(question.after).pk if question.after else None
        rows, has_more = cut(Conversation.objects.all(), question, by="pk", after=after)
    return Page(data=tuple(map(facts_of, rows)), has_more=has_more)


def list_items(tenant_id: int, *, conversation: str, question: PageQuestion) -> Page[SaidItem]:
    """Raises NotFound, also if `after` is not in this conversation."""
    with tenant_scope(tenant_id):
        place = find_conversation(conversation)
        after = find_item(place, question.after).position if question.after else None
        items = Item.objects.filter(conversation=place)
        rows, has_more = cut(items, question, by="position", after=after)
    return Page(data=tuple(map(as_item, rows)), has_more=has_more)


def show_item(tenant_id: int, *, conversation: str, item: str) -> SaidItem:
    """Raises NotFound."""
    with tenant_scope(tenant_id):
        return as_item(find_item(find_conversation(conversation), item))


def cut(
    rows: QuerySet[M], question: PageQuestion, *, by: str, after: int | None
) -> tuple[list[M], bool]:
    """The rows of a page, and whether there are more behind it."""
    if after is not None:
        rows = rows.filter(**{f"{by}__{'lt' if question.newest_first else 'gt'}": after})
    found = list(rows.order_by(f"-{by}" if question.newest_first else by)[: question.limit + 1])
    return found[: question.limit], len(found) > question.limit
