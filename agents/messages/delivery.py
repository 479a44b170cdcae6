"""Delivers messages: each attempt inserts a run into the run queue, in one transaction.

A delivery is locked for its attempt, and skipped by all others that look for work meanwhile. If the
process ends in between, nothing has happened, and the periodic task attempts it again.
"""

import logging
from datetime import datetime

from django.db import transaction

from agents.errors import NotPublished
from agents.messages.retries import is_transient, pause_after
from agents.models import Agent, AgentMessage, Conversation, Delivery, Inbox
from agents.models.message import DeliveryState
from agents.runs.background_run import (
    BackgroundRun,
    InsertedRun,
    RunKey,
    current_key,
    ensure_startable,
    insert_background_run,
)
from agents.schema.json_types import Json
from inference.errors import ModelNotFound
from kernel.errors import PlatformError
from kernel.ids import new_id
from tenants.errors import InvalidApiKey
from tenants.models import ApiKey
from tenants.scoping import tenant_scope

log = logging.getLogger(__name__)

DOOR = "messages"


@transaction.atomic
def attempt_delivery(tenant_id: int, pk: int, *, now: datetime, max_queued: int) -> bool:
    """Attempt a delivery that is due. Returns whether a run was started.

    False also if it is not due, or another process attempts it.
    """
    with tenant_scope(tenant_id):
        due = Delivery.objects.filter(pk=pk, state=DeliveryState.PENDING, next_attempt_at__lte=now)
        locked = due.select_for_update(skip_locked=True, of=("self",))
        row = locked.select_related("message").first()
        if row is None:
            return False
        attempt(row, now=now, max_queued=max_queued)
        row.save()
        return row.state == DeliveryState.DELIVERED


def attempt(row: Delivery, *, now: datetime, max_queued: int) -> None:
    """Start the run of a delivery, or note why there is none. The caller saves the row.

    Must be called in a transaction, and in the scope of the tenant.
    """
    row.attempts += 1
    try:
        key = current_key(row.message.api_key_id)
        if key is None:
            raise InvalidApiKey
        agent = receiving_agent(row.agent, key)
        started = start_run(row, agent, RunKey.of(key), max_queued=max_queued)
    except PlatformError as error:
        note_failure(row, code=error.code, message=error.message, now=now)
    else:
        note_start(row, started)


def attempt_first(
    row: Delivery, agent: Agent, key: RunKey, *, now: datetime, max_queued: int
) -> InsertedRun | None:
    """Do the same for a new delivery to an agent that its key may use. Returns the run."""
    row.attempts += 1
    try:
        started = start_run(row, agent, key, max_queued=max_queued)
    except PlatformError as error:
        note_failure(row, code=error.code, message=error.message, now=now)
        return None
    note_start(row, started)
    return started


def note_start(row: Delivery, started: InsertedRun) -> None:
    row.state, row.next_attempt_at, row.run_id = DeliveryState.DELIVERED, None, started.pk
    row.error_code = row.error_message = ""


def note_failure(row: Delivery, *, code: str, message: str, now: datetime) -> None:
    """Schedule the next attempt, or make the delivery a dead letter. The caller saves the row."""
    pause = pause_after(row.attempts) if is_transient(code) else None
    row.error_code, row.error_message = code, message
    if pause is None:
        row.state, row.next_attempt_at, row.ended_at = DeliveryState.DEAD, None, now
        log.warning("messages: dead letter (delivery=%s, error=%s)", row.public_id, code)
    else:
        row.state, row.next_attempt_at = DeliveryState.PENDING, now + pause


def start_run(row: Delivery, agent: Agent, key: RunKey, *, max_queued: int) -> InsertedRun:
    """Insert the run of an attempt. Raises NotPublished, AgentPaused and QueueFull."""
    ensure_startable(agent)
    message = row.message
    return insert_background_run(
        BackgroundRun(
            agent=agent,
            api_key=key,
            door=DOOR,
            input=text_for(message),
            client_id=f"{row.public_id}:{row.replays}:{row.attempts}",
            metadata=metadata_of(message),
            conversation=inbox_of(agent, message.sender),
            hops=message.hops,
            max_queued=max_queued,
        )
    )


def receiving_agent(slug: str, key: ApiKey) -> Agent:
    """Raises ModelNotFound, and NotPublished."""
    agent: Agent | None = Agent.objects.select_related("published__route").filter(slug=slug).first()
    if agent is None or (key.allowed_models and slug not in key.allowed_models):
        raise ModelNotFound(
            f"There is no agent {slug!r}, or the key of the message may not use it.", param="agent"
        )
    if agent.published is None:
        raise NotPublished
    return agent


def inbox_of(agent: Agent, sender: str) -> str:
    """Return the id of the conversation of a sender's messages to an agent, which is created with
    the first one. Needs a tenant scope.
    """
    found = Inbox.objects.filter(agent=agent, sender=sender)
    known: str | None = found.values_list("conversation__public_id", flat=True).first()
    if known is not None:
        return known
    conversation = Conversation.objects.create(
        tenant_id=agent.tenant_id,
        public_id=new_id("conv"),
        agent=agent.slug,
        metadata={"inbox": agent.slug, "sender": sender},
    )
    made, is_new = Inbox.objects.get_or_create(
        tenant_id=agent.tenant_id,
        agent=agent,
        sender=sender,
        defaults={"conversation": conversation},
    )
    if not is_new:  # another process was first
        conversation.delete()
    return made.conversation.public_id


def text_for(message: AgentMessage) -> str:
    """Return the user message of the run. It names the sender, if that is an agent."""
    if not message.sender:
        return message.content
    topic = f" on the topic {message.topic}" if message.topic else ""
    return f"[Message from the agent {message.sender}{topic}]\n{message.content}"


def metadata_of(message: AgentMessage) -> Json:
    """Return the metadata of the run."""
    facts = {
        "message": message.public_id,
        "correlation_id": message.correlation_id,
        "sender": message.sender,
        "topic": message.topic,
    }
    return {name: value for name, value in facts.items() if value}
