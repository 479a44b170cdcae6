"""The history of a run, read from PostgreSQL: of a conversation, or of a chain of responses."""

from collections.abc import Sequence

from django.db import connection

from agents.errors import PreviousResponseNotFound
from agents.models import Conversation, Item
from agents.models.choices import ItemKind
from agents.schema.history import History
from agents.schema.items import Item as ItemValue
from agents.schema.items import read_item
from kernel.errors import NotFound
from tenants.scoping import tenant_scope

MAX_ITEMS = 1000
"""A longer history is cut to its newest items: more never fit a request (protocols.md, "REST")."""
MAX_CHAIN_RESPONSES = 1000
"""Maximum number of responses that are read from a chain of `previous_response_id`s."""

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
"""The chain from a run back to its first run, or to the first one that has a conversation."""


def load_history(
    tenant_id: int, *, conversation: str | None, previous_response: str | None
) -> History:
    """Return the items of a conversation, or of a chain of responses, oldest first.

    Empty without either. Raises NotFound, the same for a row of another tenant.
    """
    with tenant_scope(tenant_id):
        if conversation is not None:
            return of_conversation(find_conversation(conversation))
        if previous_response is not None:
            return of_chain(tenant_id, previous_response)
    return History()


def read_version(tenant_id: int, *, conversation: str) -> int:
    """Return the version of a conversation, which grows with every change. Raises NotFound."""
    with tenant_scope(tenant_id):
        return find_conversation(conversation).next_position


def find_conversation(public_id: str, *, lock: bool = False) -> Conversation:
    """Return a conversation. Raises NotFound. Needs a tenant scope."""
    rows = Conversation.objects.select_for_update() if lock else Conversation.objects
    found = rows.filter(public_id=public_id).first()
    if found is None:
        raise NotFound("There is no such conversation here.", param="conversation")
    return found


def of_conversation(conversation: Conversation) -> History:
    newest = list(Item.objects.filter(conversation=conversation).order_by("-position")[:MAX_ITEMS])
    rows = with_latest_summary(newest[::-1])
    return History(
        items=tuple(map(as_item, rows)),
        conversation=conversation.public_id,
        conversation_pk=conversation.pk,
        agent=conversation.agent,
        revision=conversation.revision,
        version=conversation.next_position,
        is_whole=len(newest) < MAX_ITEMS,
    )


def as_item(row: Item) -> ItemValue:
    return read_item({**row.body, "type": row.kind, "id": row.public_id})


def with_latest_summary(rows: Sequence[Item]) -> list[Item]:
    """Return the latest summary in place of the items up to the position that it names."""
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
    items = sorted(
        Item.objects.filter(run_id__in=places).order_by("-pk")[:MAX_ITEMS],
        key=lambda row: (places[row.run_id or 0], row.position),
    )
    run, conversation = chain[0]
    before = items_before(conversation, run=run) if conversation is not None else []
    rows = [*before, *items][-MAX_ITEMS:]
    return History(items=tuple(map(as_item, rows)), is_whole=len(rows) < MAX_ITEMS)


def items_before(conversation: int, *, run: int) -> list[Item]:
    """Return the items of a conversation before a run of it."""
    rows = Item.objects.filter(conversation_id=conversation).exclude(run_id=run)
    own = Item.objects.filter(run_id=run).order_by("position").first()
    if own is not None:
        rows = rows.filter(position__lt=own.position)
    return with_latest_summary(list(rows.order_by("-position")[:MAX_ITEMS])[::-1])
