"""The topics that one socket is subscribed to: every new message of each, in order."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from agents.doors.base.rendering import error_frame
from agents.doors.http.messages.rendering import topic_message_object
from agents.doors.websocket.socket_frames import SubscribeTopic
from agents.errors import TooManyRuns
from agents.events.pubsub import WorkerPubSub, topic_channel
from agents.runtime.tools.messages.ports import Messages
from agents.schema.routing.messages import TOPIC, TOPIC_RULE, TopicPosition
from kernel.asgi import ClientLeft
from kernel.errors import InvalidParameter, Overloaded, PlatformError

log = logging.getLogger(__name__)

MAX_TOPICS = 16
POLL_SECONDS = 15.0
"""Interval of polls of the database, because a message between workers may be lost."""
RETRY_SECONDS = 1.0

SendFrames = Callable[[list[dict[str, Any]]], Awaitable[None]]


class TopicSubscriptions:
    """Relays messages of topics to one socket, until it closes."""

    def __init__(self, messages: Messages, pubsub: WorkerPubSub, send_frames: SendFrames) -> None:
        self._messages = messages
        self._pubsub = pubsub
        self._send_frames = send_frames
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def subscribe(self, tenant_id: int, frame: SubscribeTopic) -> None:
        """Relay the messages of a topic of the tenant. Raises InvalidParameter and TooManyRuns."""
        if not TOPIC.fullmatch(frame.topic):
            raise InvalidParameter(
                f"{frame.topic[:80]!r} is not a topic. {TOPIC_RULE}", param="topic"
            )
        if earlier := self._tasks.pop(frame.topic, None):
            earlier.cancel()
        if len(self._tasks) >= MAX_TOPICS:
            raise TooManyRuns("This socket is subscribed to too many topics.")
        self._tasks[frame.topic] = asyncio.create_task(self._relay(tenant_id, frame))

    def close(self) -> None:
        """Stop relaying."""
        for task in self._tasks.values():
            task.cancel()

    async def _relay(self, tenant_id: int, frame: SubscribeTopic) -> None:
        try:
            with contextlib.suppress(ClientLeft):
                await self._relay_all(tenant_id, frame)
        except PlatformError as error:
            with contextlib.suppress(ClientLeft):
                await self._send_frames([error_frame(error, topic=frame.topic)])
        finally:
            if self._tasks.get(frame.topic) is asyncio.current_task():
                del self._tasks[frame.topic]

    async def _relay_all(self, tenant_id: int, frame: SubscribeTopic) -> None:
        """Relay messages until cancelled. Raises NotFound for an unknown `after`."""
        notified = asyncio.Event()
        channel = topic_channel(tenant_id, frame.topic)
        with self._pubsub.subscribed(channel, lambda _: notified.set()):
            position = await self._messages.open_topic(
                tenant_id, topic=frame.topic, after=frame.after
            )
            await self._send_frames([{"type": "topic.subscribed", "topic": frame.topic}])
            while True:
                notified.clear()
                try:
                    position, is_done = await self._relay_new(tenant_id, frame.topic, position)
                except Overloaded as error:
                    log.warning("topics: not read, tried again (error=%s)", error.code)
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                if is_done:
                    await wait_for_event(notified)

    async def _relay_new(
        self, tenant_id: int, topic: str, position: TopicPosition
    ) -> tuple[TopicPosition, bool]:
        """Relay the messages after a position. Returns the next one, and whether none were left."""
        found, position = await self._messages.read_topic(tenant_id, topic=topic, position=position)
        if found:
            await self._send_frames(
                [{"type": "topic.message", "message": topic_message_object(each)} for each in found]
            )
        return position, not found


async def wait_for_event(notified: asyncio.Event) -> None:
    """Return once the event is set, or after POLL_SECONDS."""
    # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(POLL_SECONDS):
            await notified.wait()
