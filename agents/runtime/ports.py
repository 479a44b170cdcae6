"""What the agent loop is given, and what it gives back: the values and callables at its rim.

The loop knows nothing of doors, Redis or Django. Whoever runs it implements these callables.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agents.runtime.budget import Budget, Clock, Progress, Reason
from agents.runtime.items import ApprovalRequest, FunctionCall, Item, OutputPart
from agents.runtime.limits import RunLimits
from agents.runtime.tool_spec import ToolSpec
from agents.runtime.verdict import Verdict
from inference.relay.parameters import ChatRequest
from tenants.admission.usage import Usage

__all__ = ["Budget", "Clock", "Progress", "Reason", "ToolSpec", "Verdict"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPiece:
    """A piece of a tool call as it streams. Engines differ: any part may be missing."""

    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A piece of a model's answer. One of them has the `finish_reason`, the last one the usage."""

    text: str = ""
    reasoning: str = ""
    """What it thinks before it answers."""
    reasoning_member: Literal["reasoning_content", "reasoning", ""] = ""
    """Where the engine tells it."""
    refusal: str = ""
    """Why it does not answer."""
    calls: tuple[CallPiece, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None


AskModel = Callable[[ChatRequest], AsyncGenerator[Said]]
"""One model call: admitted, relayed, metered and settled by whoever implements it.

Raises leaves of the error tree, which end the run: a refusal by the gate, a broken engine.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run, from the beginning or from a checkpoint."""

    request: ChatRequest
    """As the engine gets it: instructions, the fitted context with the input, tools, presets."""
    limits: RunLimits
    done: Progress = field(default_factory=Progress)
    items: tuple[Item, ...] = ()
    """What this run made before, in order; not in `request.messages`."""
    client_tools: frozenset[str] = frozenset()
    """Names of functions that the client carries out: a call of one ends the turn."""
    agents: tuple[str, ...] = ()
    """Slugs of the agents that hand over to each other, this run's own last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A call that can be carried out here: the tool is there, and the arguments fit its schema."""

    call: FunctionCall
    tool: ToolSpec
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What the model reads."""

    text: str
    is_error: bool = False
    parts: tuple[OutputPart, ...] = ()
    """What models see instead of `text`, where there is more than text; empty if there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """From where a tool is called: what a hand-off may use, and who handed over to whom."""

    budget: Budget
    agents: tuple[str, ...] = ()


class Toolbox(Protocol):
    """The tools that one run may call."""

    def find(self, name: str) -> ToolSpec | None:
        """The tool that the model knows by this name."""

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Carry it out. Raises leaves of the error tree, which the model reads as an error."""


class Approvals(Protocol):
    """Who may allow calls."""

    async def __call__(self, requests: Sequence[ApprovalRequest]) -> Mapping[str, Verdict]:
        """Make them known, if they are not, and answer what is decided by now, by request id.

        It is asked again with the same requests when the run goes on.
        """


class Checkpoint(Protocol):
    """Keeps what a run has come to, so that another worker could go on from there."""

    async def __call__(self, progress: Progress, items: Sequence[Item]) -> None:
        """Store the items that are new since the last call, and the progress, in one step."""


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


Fact = (
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

Tell = Callable[[Fact], Awaitable[None]]
"""Hears what happens, in order, one fact at a time."""

State = Literal["completed", "incomplete", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended, or why it waits."""

    state: State
    progress: Progress
    items: tuple[Item, ...]
    """Everything that this run made, what the plan brought along included."""
    unsaved: tuple[Item, ...] = ()
    """Those at the end of `items` that no checkpoint has had: to be stored with the end itself."""
    reason: Reason | None = None
    approvals: tuple[ApprovalRequest, ...] = ()
    """What a paused run waits for. All its items have had a checkpoint."""
    client_calls: tuple[FunctionCall, ...] = ()
    """Calls that the client is to carry out, where these ended the turn."""
