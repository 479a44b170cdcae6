"""Messages to agents, as values between the doors, the tools and the tables."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from agents.schema.json_types import Json

TOPIC = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
TOPIC_RULE = (
    "A topic is 1 to 63 of lower-case letters, digits and . _ - and begins with a letter or digit."
)
MAX_CONTENT_BYTES = 64 * 1024
MAX_TOPIC_RECEIVERS = 1000
ANSWERED = frozenset({"completed", "incomplete", "cancelled"})
"""The states of a run with which its delivery is completed."""
DEFAULT_REPLY_SECONDS = 30
MAX_REPLY_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLimits:
    """The limits of messages, from the settings."""

    max_per_minute: int
    """The maximum number of messages of a tenant in a minute."""
    max_hops: int
    """The maximum number of messages between agents that may lead to one."""
    max_queued_runs: int
    """The maximum number of queued runs of a tenant."""


class NewMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A valid message to one agent, or to a topic."""

    content: str
    agent: str = ""
    """The receiver; empty for a message to a topic."""
    topic: str = ""
    sender: str = ""
    """The slug of the agent that sends it; empty for a client."""
    correlation_id: str = ""
    """Empty: the platform makes one."""
    message_id: str = ""
    """The sender's id of the message. A repeated id sends nothing; empty: never a repetition."""
    hops: int = 0
    metadata: Mapping[str, str] = {}

    @property
    def fingerprint(self) -> str:
        """A hash of the message without its id."""
        facts = (self.agent, self.topic, self.content, self.correlation_id, dict(self.metadata))
        return hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()[:32]


class DeliveryRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A message for one receiver."""

    agent: str
    state: str
    attempts: int
    run_id: str | None
    error: Json | None
    next_attempt_at: int | None
    """Seconds since 1970; None unless it is pending."""


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table of messages with its deliveries. Times are in seconds since 1970."""

    id: str
    sender: str
    topic: str
    correlation_id: str
    message_id: str
    content: str
    hops: int
    metadata: Json
    created_at: int
    deliveries: tuple[DeliveryRecord, ...]


class TopicPosition(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages of a topic were read, by the ids of their rows."""

    last: int
    seen: frozenset[int]
    """The last of them, `last` included."""


class SentMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The result of sending a message."""

    record: MessageRecord
    is_new: bool
    """False if the id had sent this message before."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the run of a message to one agent."""

    message: MessageRecord
    conversation: str
    """The conversation of the run; empty without a run."""
    run_state: str
    """The state of the run; empty without a run."""
    run_error: Json | None
    """The error of a run that failed."""
    text: str
    """The text of the run's messages, once it has ended."""
