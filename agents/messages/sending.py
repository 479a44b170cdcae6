"""Sends messages: to one agent in one transaction, to a topic with a transaction per receiver.

Synchronous: the gateway calls this on its database threads. A delivery that is not attempted in
time, or whose process ends before, is attempted by the periodic task.
"""

import time
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from agents.errors import HopLimit, IdempotencyMismatch, MessageRateLimit
from agents.messages.delivery import attempt_delivery, attempt_first
from agents.messages.receivers import named_agent, subscribers
from agents.messages.store import delivery_record, message_record, record_of
from agents.models import AgentMessage, Delivery
from agents.runs.background_run import RunKey
from agents.schema.routing.messages import (
    MAX_CONTENT_BYTES,
    MessageLimits,
    MessageRecord,
    NewMessage,
    SentMessage,
)
from kernel.errors import BodyTooLarge, InvalidParameter
from kernel.ids import new_id
from tenants.admission.principal import Principal
from tenants.scoping import tenant_scope

MAX_ATTEMPT_SECONDS = 0.8
"""Time for the attempts of a message that its sender waits for. The periodic task attempts the
others."""
RATE_WINDOW = timedelta(minutes=1)
RATE_RETRY_SECONDS = 10


def send_message(principal: Principal, new: NewMessage, *, limits: MessageLimits) -> SentMessage:
    """Send a message, once per `message_id` of the sender.

    Raises ModelNotFound, HopLimit, MessageRateLimit, TooManyReceivers, IdempotencyMismatch, and
    InvalidParameter and BodyTooLarge for what is not valid.
    """
    ensure_valid(new, limits)
    with tenant_scope(principal.tenant_id):
        known = find_known(principal, new)
        if known is not None:
            return repeated(known, new)
        ensure_rate(limits)
        send = publish if new.topic else send_to_agent
        try:
            return SentMessage(record=send(principal, new, limits), is_new=True)
        except IntegrityError:
            known = find_known(principal, new)
            if known is None:
                raise
            return repeated(known, new)  # it was sent at the same moment


def repeated(known: AgentMessage, new: NewMessage) -> SentMessage:
    """Return a message that was sent before. Raises IdempotencyMismatch if it differs."""
    if known.fingerprint != new.fingerprint:
        raise IdempotencyMismatch(
            "This `message_id` was used for another message. Choose a new one.", param="message_id"
        )
    return SentMessage(record=record_of(known), is_new=False)


@transaction.atomic
def send_to_agent(principal: Principal, new: NewMessage, limits: MessageLimits) -> MessageRecord:
    """Insert a message to one agent with its delivery and its run, in one transaction."""
    agent = named_agent(principal, new)
    message = insert_message(principal, new)
    row = new_delivery(message, agent.slug)
    key = RunKey(principal.key_id, principal.public_id, principal.member_id)
    started = attempt_first(
        row, agent, key, now=message.created_at, max_queued=limits.max_queued_runs
    )
    row.save(force_insert=True)
    delivery = delivery_record(row, run_id=started.public_id if started else None)
    return message_record(message, [delivery])


def publish(principal: Principal, new: NewMessage, limits: MessageLimits) -> MessageRecord:
    """Insert a message to a topic with its deliveries, and attempt each of them."""
    receivers = subscribers(principal, new)
    with transaction.atomic():
        message = insert_message(principal, new)
        Delivery.objects.bulk_create(new_delivery(message, slug) for slug in receivers)
    attempt_all(message, limits=limits)
    return record_of(message)


def ensure_valid(new: NewMessage, limits: MessageLimits) -> None:
    """Raises HopLimit, InvalidParameter and BodyTooLarge."""
    if new.hops > limits.max_hops:
        raise HopLimit
    if not new.content.strip():
        raise InvalidParameter("The content is empty. Write a message.", param="content")
    if "\0" in new.content:
        raise InvalidParameter("The content has a character that is not allowed.", param="content")
    if len(new.content.encode()) > MAX_CONTENT_BYTES:
        raise BodyTooLarge(f"A message has at most {MAX_CONTENT_BYTES // 1024} KiB. Send less.")


def find_known(principal: Principal, new: NewMessage) -> AgentMessage | None:
    """Return the message that was sent with this id by the key, or by those that it replaced."""
    if not new.message_id:
        return None
    found: AgentMessage | None = AgentMessage.objects.filter(
        lineage_id=principal.counted_as, sender=new.sender, message_id=new.message_id
    ).first()
    return found


def ensure_rate(limits: MessageLimits) -> None:
    """Raises MessageRateLimit if the tenant has sent too many messages in the last minute."""
    recent = AgentMessage.objects.filter(created_at__gt=timezone.now() - RATE_WINDOW)
    if recent.order_by()[: limits.max_per_minute].count() >= limits.max_per_minute:
        raise MessageRateLimit(retry_after=RATE_RETRY_SECONDS, scope_kind="tenant")


def insert_message(principal: Principal, new: NewMessage) -> AgentMessage:
    return AgentMessage.objects.create(
        tenant_id=principal.tenant_id,
        public_id=new_id("msg"),
        api_key_id=principal.key_id,
        lineage_id=principal.counted_as,
        sender=new.sender,
        topic=new.topic,
        correlation_id=new.correlation_id or new_id("corr"),
        content=new.content,
        hops=new.hops,
        message_id=new.message_id,
        fingerprint=new.fingerprint,
        metadata=dict(new.metadata),
    )


def new_delivery(message: AgentMessage, agent: str) -> Delivery:
    """Return a delivery that is not stored, and due at once."""
    return Delivery(
        tenant_id=message.tenant_id,
        public_id=new_id("dlv"),
        message=message,
        agent=agent,
        next_attempt_at=message.created_at,
    )


def attempt_all(message: AgentMessage, *, limits: MessageLimits) -> None:
    """Attempt the deliveries of a new message, for a limited time."""
    due = Delivery.objects.filter(message=message).order_by("pk").values_list("pk", flat=True)
    until = time.monotonic() + MAX_ATTEMPT_SECONDS
    for pk in list(due):
        if time.monotonic() > until:
            return
        attempt_delivery(
            message.tenant_id, pk, now=timezone.now(), max_queued=limits.max_queued_runs
        )
