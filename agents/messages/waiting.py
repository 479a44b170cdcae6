"""Waits for replies: for the end of the run of a message to one agent."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from agents.errors import AgentReplyTimeout, ReplyFailed
from agents.events.pubsub import WorkerPubSub, conversation_channel
from agents.messages.retries import is_transient
from agents.schema.routing.messages import ANSWERED, Reply
from kernel.errors import Overloaded

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""The end of a run is published, but a message between workers may be lost."""


class ReplyWaiter:
    """Waits for replies in one worker. The caller's task is all that a wait consists of."""

    def __init__(
        self, load: Callable[[int, str], Awaitable[Reply]], *, pubsub: WorkerPubSub
    ) -> None:
        self._load = load
        self._pubsub = pubsub

    async def wait(self, tenant_id: int, message_id: str, *, seconds: float) -> Reply:
        """Return the reply. Raises AgentReplyTimeout, ReplyFailed, and NotFound."""
        woken, conversation = asyncio.Event(), ""
        try:
            async with asyncio.timeout(seconds):
                with contextlib.ExitStack() as subscriptions:
                    while True:
                        woken.clear()
                        reply = await self._read(tenant_id, message_id)
                        if reply is not None and is_over(reply):
                            return reply
                        if reply is not None and reply.conversation not in {"", conversation}:
                            # It may have ended between the query and the subscription.
                            conversation = reply.conversation
                            subscriptions.enter_context(self._subscribed(conversation, woken))
                            continue
                        await wait_for_event(woken)
        except TimeoutError as error:
            raise AgentReplyTimeout(
                f"The agent has not answered in {seconds:g} s. The message {message_id} is still "
                "delivered: read it later."
            ) from error

    def _subscribed(self, conversation: str, woken: asyncio.Event) -> AbstractContextManager[None]:
        return self._pubsub.subscribed(conversation_channel(conversation), lambda _: woken.set())

    async def _read(self, tenant_id: int, message_id: str) -> Reply | None:
        """Return the state of the reply; None while it cannot be read."""
        try:
            return await self._load(tenant_id, message_id)
        except Overloaded as error:
            log.warning("messages: reply not read, tried again (error=%s)", error.code)
            return None


async def wait_for_event(woken: asyncio.Event) -> None:
    """Return once the event is set, or after POLL_SECONDS."""
    # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            await woken.wait()


def is_over(reply: Reply) -> bool:
    """Return whether there is a reply. Raises ReplyFailed if there will be none."""
    if reply.run_state in ANSWERED:
        return True
    (delivery,) = reply.message.deliveries
    failed = delivery.error if delivery.state == "dead" else reply.run_error
    if failed is None or (delivery.state != "dead" and is_transient(failed["code"])):
        return False
    raise ReplyFailed(
        f"The agent could not answer the message {reply.message.id} ({failed['code']}): "
        f"{failed['message']}"
    )
