"""Erases messages: those of a conversation that is an inbox, and those of a period."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from agents.models import AgentMessage, Conversation, Delivery, Inbox

BATCH_SIZE = 1000


def inbox_messages(conversation: Conversation) -> Q:
    """Return the deliveries of messages to an inbox, for `delete_deliveries`; none for another
    conversation. It must be called before the conversation is deleted. Needs a tenant scope.
    """
    inbox: Inbox | None = (
        Inbox.objects.select_related("agent").filter(conversation=conversation).first()
    )
    if inbox is None:
        return Q(pk__in=())
    return Q(agent=inbox.agent.slug, message__sender=inbox.sender)


@transaction.atomic
def delete_deliveries(which: Q, *, until: datetime) -> int:
    """Delete deliveries of messages sent up to `until`, and the messages that have none left.

    Returns the number of deleted messages. Other receivers of a message keep it. Needs a tenant
    scope.
    """
    rows = Delivery.objects.filter(which, message__created_at__lte=until)
    messages = set(rows.values_list("message_id", flat=True))
    rows.delete()
    return delete_messages(AgentMessage.objects.filter(pk__in=messages, deliveries=None))


def delete_messages_until(moment: datetime) -> int:
    """Delete the messages sent up to a time, with their deliveries. Needs a tenant scope."""
    count = 0
    old = AgentMessage.objects.filter(created_at__lte=moment).order_by("pk")
    while found := list(old.values_list("pk", flat=True)[:BATCH_SIZE]):
        count += delete_messages(AgentMessage.objects.filter(pk__in=found))
    return count


def delete_messages(rows: "QuerySet[AgentMessage]") -> int:
    """Delete messages. Returns their number, without that of their deliveries."""
    found = list(rows.values_list("pk", flat=True))
    AgentMessage.objects.filter(pk__in=found).delete()
    return len(found)
