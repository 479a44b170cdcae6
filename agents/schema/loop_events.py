"""The events of the agent loop, as values. `agents.events` renders them for clients."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.schema.items import ApprovalRequest, Item
from tenants.admission.usage.records import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """Model call number `number` starts, counted from 1."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """A model call has ended."""

    number: int
    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStarted:
    """A new item, still empty: a message without text, or a call without arguments."""

    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """More text of the message that was started last."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalDelta:
    """More text of the refusal in the message that was started last."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """More text of the `Reasoning` that was started last."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentsDelta:
    """All arguments of the call that was started last: they are buffered until complete."""

    item_id: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDone:
    """A complete item. Outputs of tools have no `ItemStarted` before it."""

    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """A tool is being called."""

    call_id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnded:
    """The tool returned, failed or timed out; its output follows as an item."""

    call_id: str
    name: str
    kind: str
    is_error: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNeeded:
    """A call needs an approval. The `ItemDone` of its request comes before."""

    request: ApprovalRequest


LoopEvent = (
    StepStarted
    | StepEnded
    | ItemStarted
    | TextDelta
    | RefusalDelta
    | ReasoningDelta
    | ArgumentsDelta
    | ItemDone
    | ToolStarted
    | ToolEnded
    | ApprovalNeeded
)


EmitEvent = Callable[[LoopEvent], Awaitable[None]]
"""Gets the events in order, one at a time."""
