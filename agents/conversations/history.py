"""What was said before, read from PostgreSQL: in a conversation, or along a chain of responses."""

from collections.abc import Sequence

from django.db import connection

from agents.errors import PreviousResponseNotFound
from agents.models import Conversation, Item
from agents.models.choices import ItemKind
from agents.schema.history import History
from agents.schema.items import Item as SaidItem
from agents.schema.items import read_item
from kernel.errors import NotFound
from tenants.scoping import tenant_scope

MAX_ITEMS = 1000
"""Of a history, the newest: more never fit a request (CONTRACT §2)."""
MAX_CHAIN_RESPONSES = 1000
"""Responses that a `previous_response_id` leads back to."""

CHAIN = """
WITH RECURSIVE chain (id, previous_id, conversation_id, place) AS (
    SELECT id, previous_id, conversation_id, 0 FROM agents_run
    WHERE tenant_id = %(tenant)s AND public_id = %(start)s AND store
    UNION ALL
    SELECT run.id, run.previous_id, run.conversation_id, chain.place + 1
    FROM agents_run run JOIN chain ON run.id = chain.previous_id
    WHERE run.tenant_id = %(tenant)s AND chain.conversation_id IS NULL
      AND chain.place < %(longest)s
)
SELECT id, conversation_id FROM chain ORDER BY place DESC
"""
"""From a run back to its beginning, or to the first one that was said in a conversation."""


def load_history(
    tenant_id: int, *, conversation: str | None, previous_response: str | None
) -> History:
    """What was said before, oldest first: in a conversation, or up to and with a response.

    Raises NotFound, the same for another tenant's as for none. Without either it is empty.
    """
    with tenant_scope(tenant_id):
        if conversation is not None:
            return of_conversation(find_conversation(conversation))
        if previous_response is not None:
            return of_chain(tenant_id, previous_response)
    return History()


def read_version(tenant_id: int, *, conversation: str) -> int:
    """How often the items of a conversation have changed. Raises NotFound."""
    with tenant_scope(tenant_id):
        return find_conversation(conversation).next_position


def find_conversation(public_id: str, *, lock: bool = False) -> Conversation:
    """Within a tenant scope. Raises NotFound."""
    rows = Conversation.objects.select_for_update() if lock else Conversation.objects
    found = rows.filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such conversation here.", param="conversation")
    return found


def of_conversation(conversation: Conversation) -> History:
    newest = list(Item.objects.filter(conversation=conversation).order_by("-position")[:MAX_ITEMS])
    rows = summed_up(newest[::-1])
    return History(
        items=tuple(map(as_item, rows)),
        conversation=conversation.public_id,
        conversation_pk=conversation.pk,
        agent=conversation.agent,
        revision=conversation.revision,
        version=conversation.next_position,
        is_whole=len(newest) < MAX_ITEMS,
    )


def as_item(row: Item) -> SaidItem:
    return read_item({**row.body, "type": row.kind, "id": row.public_id})


def summed_up(rows: Sequence[Item]) -> list[Item]:
    """The latest summary stands for everything up to the position that it names."""
    summary = next((row for row in reversed(rows) if row.kind == ItemKind.SUMMARY), None)
    through = summary.body["through"] if summary else -1
    rest = [row for row in rows if row.kind != ItemKind.SUMMARY and row.position > through]
    return [summary, *rest] if summary else rest


def of_chain(tenant_id: int, response: str) -> History:
    with connection.cursor() as cursor:
        cursor.execute(
            CHAIN, {"tenant": tenant_id, "start": response, "longest": MAX_CHAIN_RESPONSES}
        )
        chain: list[tuple[int, int | None]] = cursor.fetchall()
    if not chain:
        raise PreviousResponseNotFound(param="previous_response_id")
    places = {run: place for place, (run, _) in enumerate(chain)}
    said = sorted(
        Item.objects.filter(run_id__in=places).order_by("-pk")[:MAX_ITEMS],
        key=lambda row: (places[row.run_id or 0], row.position),
    )
    run, conversation = chain[0]
    before = said_before(conversation, run=run) if conversation is not None else []
    rows = [*before, *said][-MAX_ITEMS:]
    return History(items=tuple(map(as_item, rows)), is_whole=len(rows) < MAX_ITEMS)


def said_before(conversation: int, *, run: int) -> list[Item]:
    """What a conversation had come to when a run of it began."""
    rows = Item.objects.filter(conversation_id=conversation).exclude(run_id=run)
    own = Item.objects.filter(run_id=run).order_by("position").first()
    if own is not None:
        rows = rows.filter(position__lt=own.position)
    return summed_up(list(rows.order_by("-position")[:MAX_ITEMS])[::-1])
