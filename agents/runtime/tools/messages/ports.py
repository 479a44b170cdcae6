"""Messages as doors and tools use them. `config` provides the implementation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agents.schema.routing.messages import (
    MessageRecord,
    NewMessage,
    Reply,
    SentMessage,
    TopicPosition,
)
from tenants.admission.principal import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingRun:
    """The run that sends messages: its caller pays for those who receive them."""

    principal: Principal
    id: str
    hops: int
    """How many messages between agents led to the run."""


class Messages(Protocol):
    """Each raises NotFound for what is not the tenant's, and DatabaseUnavailable in an outage."""

    async def send(self, principal: Principal, new: NewMessage) -> SentMessage:
        """Send a message, once per `message_id`, and wake the agent nodes.

        Raises ModelNotFound, HopLimit, MessageRateLimit, TooManyReceivers, IdempotencyMismatch, and
        InvalidParameter and BodyTooLarge for what is not valid.
        """

    async def load(self, tenant_id: int, *, message: str) -> MessageRecord:
        """Return a message with its deliveries."""

    async def open_topic(self, tenant_id: int, *, topic: str, after: str | None) -> TopicPosition:
        """Return the position after a message of a topic, or after the last one."""

    async def read_topic(
        self, tenant_id: int, *, topic: str, position: TopicPosition
    ) -> tuple[Sequence[MessageRecord], TopicPosition]:
        """Return the next messages of a topic, without deliveries, and the position after them."""

    async def wait(self, tenant_id: int, *, message: str, seconds: float) -> Reply:
        """Wait for the end of the run of a message to one agent. Nothing is left after it.

        Raises AgentReplyTimeout, and ReplyFailed if there will be no reply.
        """
