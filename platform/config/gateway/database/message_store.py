"""Messages for the gateway, on database threads."""

from collections.abc import Sequence
from functools import partial

from agents.events.pubsub import WorkerPubSub, topic_channel
from agents.messages import store as rows
from agents.messages import topic_reader
from agents.messages.sending import send_message
from agents.messages.waiting import ReplyWaiter
from agents.redis_keys import RUN_QUEUE
from agents.runtime.tools.messages.ports import Messages
from agents.schema.routing.messages import (
    MessageLimits,
    MessageRecord,
    NewMessage,
    Reply,
    SentMessage,
    TopicPosition,
)
from config.gateway.database.queries import GatewayDatabase
from kernel import metrics
from kernel.errors import PlatformError
from tenants.admission.principal import Principal

SEND_TIMEOUT_SECONDS = 3.0
"""Timeout of sending, which includes the first attempts of many deliveries."""
COUNTED_REFUSALS = frozenset({"hop_limit", "message_rate_limit", "too_many_receivers"})


class DatabaseMessages(Messages):
    """Implements `Messages` with PostgreSQL."""

    def __init__(
        self, database: GatewayDatabase, *, pubsub: WorkerPubSub, limits: MessageLimits
    ) -> None:
        self._database = database
        self._pubsub = pubsub
        self._limits = limits
        self._waiter = ReplyWaiter(self._load_reply, pubsub=pubsub)

    async def send(self, principal: Principal, new: NewMessage) -> SentMessage:
        work = partial(send_message, principal, new, limits=self._limits)
        try:
            sent = await self._database.query_within(SEND_TIMEOUT_SECONDS, work)
        except PlatformError as error:
            count(error.code if error.code in COUNTED_REFUSALS else "refused")
            raise
        count("accepted" if sent.is_new else "repeated")
        await self._pubsub.notify(RUN_QUEUE)
        if new.topic and sent.is_new:
            await self._pubsub.notify(topic_channel(principal.tenant_id, new.topic))
        return sent

    async def load(self, tenant_id: int, *, message: str) -> MessageRecord:
        return await self._database.query(rows.load_message, tenant_id, message)

    async def open_topic(self, tenant_id: int, *, topic: str, after: str | None) -> TopicPosition:
        return await self._database.query(topic_reader.open_topic, tenant_id, topic, after=after)

    async def read_topic(
        self, tenant_id: int, *, topic: str, position: TopicPosition
    ) -> tuple[Sequence[MessageRecord], TopicPosition]:
        return await self._database.query(topic_reader.read_topic, tenant_id, topic, position)

    async def wait(self, tenant_id: int, *, message: str, seconds: float) -> Reply:
        return await self._waiter.wait(tenant_id, message, seconds=seconds)

    async def _load_reply(self, tenant_id: int, message: str) -> Reply:
        return await self._database.query(rows.load_reply, tenant_id, message)


def count(outcome: str) -> None:
    metrics.series(metrics.messages, outcome).inc()
