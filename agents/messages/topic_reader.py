"""Reads the messages of a topic in order, for those who follow it.

The ids of rows are given out before their transactions end, so that a row may become visible after
one with a higher id. A position therefore has the last ids that were read: what is between them is
read, too.
"""

from agents.messages.store import find_message, message_record
from agents.models import AgentMessage
from agents.schema.routing.messages import MessageRecord, TopicPosition
from kernel.errors import NotFound
from tenants.scoping import tenant_scope

OVERLAP_IDS = 1000
"""Ids of all tenants that are given out while a message is inserted, at most."""
MAX_MESSAGES_PER_READ = 50


def open_topic(tenant_id: int, topic: str, *, after: str | None) -> TopicPosition:
    """Return the position after a message, or after the last one. Raises NotFound."""
    with tenant_scope(tenant_id):
        rows = AgentMessage.objects.filter(topic=topic)
        if after is None:
            last = rows.order_by("-pk").values_list("pk", flat=True).first() or 0
        else:
            message = find_message(after)
            if message.topic != topic:
                raise NotFound("There is no such message of this topic.", param="after")
            last = message.pk
        seen = rows.filter(pk__gt=last - OVERLAP_IDS, pk__lte=last)
        return TopicPosition(last=last, seen=frozenset(seen.values_list("pk", flat=True)))


def read_topic(
    tenant_id: int, topic: str, position: TopicPosition
) -> tuple[list[MessageRecord], TopicPosition]:
    """Return the messages after a position, and the position after them."""
    with tenant_scope(tenant_id):
        later = AgentMessage.objects.filter(topic=topic, pk__gt=position.last - OVERLAP_IDS)
        new = later.exclude(pk__in=position.seen).order_by("pk")[:MAX_MESSAGES_PER_READ]
        found = {row.pk: message_record(row, ()) for row in new}
    last = max((position.last, *found))
    seen = {pk for pk in (*position.seen, *found) if pk > last - OVERLAP_IDS}
    return list(found.values()), TopicPosition(last=last, seen=frozenset(seen))
