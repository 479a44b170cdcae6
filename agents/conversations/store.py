"""Conversations in PostgreSQL: created, read, continued and changed.

Synchronous: the gateway calls these on its database threads. A function with a `tenant_id` raises
NotFound for a row of another tenant, as for one that does not exist.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from agents.conversations.history import find_conversation, load_history, read_version
from agents.models import Conversation, Item, Run
from agents.models.choices import ItemKind
from agents.runtime.loop.tool_output import storable
from agents.schema.history import ConversationFacts
from agents.schema.items import StoredItem, Summary, item_json, kind_of
from kernel.errors import NotFound
from kernel.ids import new_id
from tenants.scoping import tenant_scope

__all__ = ["append_items", "load_history", "read_version"]


@transaction.atomic
def create_conversation(
    tenant_id: int, *, metadata: Mapping[str, str], items: Sequence[StoredItem], agent: str = ""
) -> ConversationFacts:
    """Create a conversation with its first items."""
    with tenant_scope(tenant_id):
        row = Conversation.objects.create(
            tenant_id=tenant_id, public_id=new_id("conv"), metadata=dict(metadata), agent=agent
        )
    if items:
        append_items(tenant_id, conversation=row.public_id, run=None, items=items)
    return facts_of(row)


def read_conversation(tenant_id: int, *, conversation: str) -> ConversationFacts:
    """Raises NotFound."""
    with tenant_scope(tenant_id):
        return facts_of(find_conversation(conversation))


@transaction.atomic
def change_metadata(
    tenant_id: int, *, conversation: str, metadata: Mapping[str, str]
) -> ConversationFacts:
    """Replace the metadata. Raises NotFound."""
    with tenant_scope(tenant_id):
        row = find_conversation(conversation, lock=True)
        row.metadata = dict(metadata)
        row.save(update_fields=("metadata", "changed_at"))
    return facts_of(row)


def facts_of(row: Conversation) -> ConversationFacts:
    return ConversationFacts(
        id=row.public_id,
        created_at=int(row.created_at.timestamp()),
        metadata=row.metadata,
        agent=row.agent,
    )


@transaction.atomic
def discard_empty(tenant_id: int, *, conversation: str) -> None:
    """Delete a conversation without items and runs; harmless for any other."""
    with tenant_scope(tenant_id):
        row = Conversation.objects.select_for_update().filter(public_id=conversation).first()
        if row is not None and row.next_position == 0 and not row.runs.exists():
            row.delete()


@transaction.atomic
def append_items(
    tenant_id: int, *, conversation: str | None, run: str | None, items: Sequence[StoredItem]
) -> None:
    """Append items to a conversation, or to a run without one. Raises NotFound.

    Positions are assigned under the lock of the conversation's row, or the run's. Items that are
    stored already are ignored, so that a call may be repeated.
    """
    with tenant_scope(tenant_id):
        # The conversation first, always: two locks in two orders would be a deadlock.
        place = None if conversation is None else find_conversation(conversation, lock=True)
        owner = None if run is None else find_run(run, lock=place is None)
        known = Item.objects.filter(public_id__in=[each.item.id for each in items])
        stored = set(known.values_list("public_id", flat=True))
        new = [each for each in items if each.item.id not in stored]
        first = place.next_position if place else count_items(owner)
        rows = as_rows(new, first=first)
        for row in rows:
            row.tenant_id, row.conversation, row.run = tenant_id, place, owner
        Item.objects.bulk_create(rows)
        if place is not None and rows:
            bump_version(place, by=len(rows))


@transaction.atomic
def store_summary(tenant_id: int, *, conversation: str, summary: Summary, through: str) -> None:
    """Store a summary of everything up to the item `through`. Raises NotFound.

    The items remain for people to read; only models get the summary in their place.
    """
    with tenant_scope(tenant_id):
        place = find_conversation(conversation, lock=True)
        last = find_item(place, through)
        Item.objects.create(
            tenant_id=tenant_id,
            public_id=summary.id,
            conversation=place,
            position=place.next_position,
            kind=kind_of(summary),
            body={"type": kind_of(summary), "text": summary.text, "through": last.position},
        )
        bump_version(place, by=1)


@transaction.atomic
def delete_item(tenant_id: int, *, conversation: str, item: str) -> ConversationFacts:
    """Delete one item, and the summaries that include it. Raises NotFound."""
    with tenant_scope(tenant_id):
        place = find_conversation(conversation, lock=True)
        row = find_item(place, item)
        summaries = Item.objects.filter(conversation=place, kind=ItemKind.SUMMARY)
        summaries.filter(body__through__gte=row.position).delete()
        row.delete()
        bump_version(place, by=1)
    return facts_of(place)


def find_item(conversation: Conversation, public_id: str) -> Item:
    """Raises NotFound."""
    found = Item.objects.filter(conversation=conversation, public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such item in this conversation.", param="item_id")
    return found


def as_rows(items: Iterable[StoredItem], *, first: int) -> list[Item]:
    return [
        Item(
            public_id=each.item.id,
            is_input=each.is_input,
            position=position,
            kind=kind_of(each.item),
            body={k: storable_value(v) for k, v in item_json(each.item).items() if k != "id"},
        )
        for position, each in enumerate(items, first)
    ]


def storable_value(value: Any) -> Any:
    """`value` without the characters that PostgreSQL cannot store, which models may write."""
    match value:
        case str():
            return storable(value)
        case list() | tuple():
            return [storable_value(each) for each in value]
        case dict():
            return {storable_value(name): storable_value(each) for name, each in value.items()}
        case _:
            return value


def find_run(public_id: str, *, lock: bool = False) -> Run:
    """Return a run. Raises NotFound. Needs a tenant scope."""
    rows = Run.objects.select_for_update() if lock else Run.objects
    found: Run | None = rows.filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such response here.", param="response_id")
    return found


def count_items(run: Run | None) -> int:
    """Return the number of items of a run without a conversation."""
    return Item.objects.filter(run=run).count()


def bump_version(conversation: Conversation, *, by: int) -> None:
    """Record a change of the items, so that cached histories of older versions are not used."""
    Conversation.objects.filter(pk=conversation.pk).update(
        next_position=conversation.next_position + by, changed_at=timezone.now()
    )
