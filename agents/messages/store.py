"""Messages in PostgreSQL, read with their deliveries.

Synchronous: the gateway calls these on its database threads.
"""

from collections.abc import Iterable

from agents.models import AgentMessage, Delivery
from agents.models.choices import ACTIVE
from agents.models.message import DeliveryState
from agents.runs.store import run_record_of
from agents.schema.items import Message
from agents.schema.routing.messages import ANSWERED, DeliveryRecord, MessageRecord, Reply
from kernel.errors import NotFound
from tenants.scoping import tenant_scope


def load_message(tenant_id: int, message_id: str) -> MessageRecord:
    """Return a message with its deliveries. Raises NotFound."""
    with tenant_scope(tenant_id):
        return record_of(find_message(message_id))


def find_message(message_id: str) -> AgentMessage:
    """Return a message. Raises NotFound. Needs a tenant scope."""
    row: AgentMessage | None = AgentMessage.objects.filter(public_id=message_id).first()
    if row is None:
        raise NotFound("There is no such message here.", param="message_id")
    return row


def load_reply(tenant_id: int, message_id: str) -> Reply:
    """Return a message to one agent with the state and text of its run. Raises NotFound."""
    with tenant_scope(tenant_id):
        message = find_message(message_id)
        rows = Delivery.objects.select_related("run__conversation", "run__previous")
        run = rows.get(message=message).run
        if run is None:
            return Reply(
                message=record_of(message), conversation="", run_state="", run_error=None, text=""
            )
        texts: tuple[str, ...] = ()
        if run.state not in ACTIVE:
            output = run_record_of(run).output
            texts = tuple(item.text for item in output if isinstance(item, Message))
        return Reply(
            message=record_of(message),
            conversation=run.conversation.public_id if run.conversation else "",
            run_state=run.state,
            run_error=run.error,
            text="".join(texts),
        )


def record_of(message: AgentMessage) -> MessageRecord:
    """Needs a tenant scope."""
    deliveries = Delivery.objects.filter(message=message).select_related("run")
    rows = deliveries.defer("run__checkpoint", "run__request").order_by("pk")
    return message_record(message, [delivery_with_run(row) for row in rows])


def message_record(message: AgentMessage, deliveries: Iterable[DeliveryRecord]) -> MessageRecord:
    return MessageRecord(
        id=message.public_id,
        sender=message.sender,
        topic=message.topic,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        content=message.content,
        hops=message.hops,
        metadata=message.metadata,
        created_at=int(message.created_at.timestamp()),
        deliveries=tuple(deliveries),
    )


def delivery_with_run(row: Delivery) -> DeliveryRecord:
    """Return a delivery with its run. It is completed as soon as its run is, though the periodic
    task may not have recorded that.
    """
    if row.run is None:
        return delivery_record(row, run_id=None)
    if row.state == DeliveryState.DELIVERED and row.run.state in ANSWERED:
        row.state = DeliveryState.COMPLETED
    return delivery_record(row, run_id=row.run.public_id)


def delivery_record(row: Delivery, *, run_id: str | None) -> DeliveryRecord:
    due = row.next_attempt_at
    return DeliveryRecord(
        agent=row.agent,
        state=row.state,
        attempts=row.attempts,
        run_id=run_id,
        error={"code": row.error_code, "message": row.error_message} if row.error_code else None,
        next_attempt_at=int(due.timestamp()) if due else None,
    )
