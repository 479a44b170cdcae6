"""What happens in a run, as its loop says it: the values that become events."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agents.schema.items import ApprovalRequest, Item
from tenants.admission.usage.records import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """The model is asked for the `number`th time, from 1."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEnded:
    """The model has answered."""

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
    """More of why the model does not answer, in the message that was started last."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasoningDelta:
    """More text of the `Reasoning` that was started last."""

    item_id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentsDelta:
    """The arguments of the call that was started last, whole: they are buffered first."""

    item_id: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDone:
    """The item as it stays. Results of tools come so without having been started."""

    item: Item


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """A tool is being called."""

    call_id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnded:
    """It answered, failed or took too long; what it said follows as an item."""

    call_id: str
    name: str
    kind: str
    is_error: bool
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalNeeded:
    """A call waits for a person. Its item has been told already."""

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
"""Hears what happens, in order, one fact at a time."""
