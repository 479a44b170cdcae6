"""What the agent loop is given, and what it gives back: the values and callables at its rim.

The loop knows nothing of doors, Redis or Django. Whoever runs it implements these callables.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agents.runtime.loop.budget import Budget, Clock, Progress, Reason
from agents.schema.approval_decision import ApprovalDecision
from agents.schema.items import ApprovalRequest, FunctionCall, Item, OutputPart
from agents.schema.run_limits import RunLimits
from agents.schema.tool_spec import ToolSpec
from inference.relay.schema import ChatRequest
from tenants.admission.usage.records import Usage

__all__ = ["ApprovalDecision", "Budget", "Clock", "Progress", "Reason", "ToolSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call as it streams. Engines differ: any part may be missing."""

    index: int | None = None
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelDelta:
    """A piece of a model's answer. One of them has the `finish_reason`, the last one the usage."""

    text: str = ""
    reasoning: str = ""
    """What it thinks before it answers."""
    reasoning_member: Literal["reasoning_content", "reasoning", ""] = ""
    """Where the engine tells it."""
    refusal: str = ""
    """Why it does not answer."""
    calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None


AskModel = Callable[[ChatRequest], AsyncGenerator[ModelDelta]]
"""One model call: admitted, relayed, metered and settled by whoever implements it.

Raises leaves of the error tree, which end the run: a refusal by the gate, a broken engine.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
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
class ExecutableCall:
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

    async def __call__(self, requests: Sequence[ApprovalRequest]) -> Mapping[str, ApprovalDecision]:
        """Make them known, if they are not, and answer what is decided by now, by request id.

        It is asked again with the same requests when the run goes on.
        """


class Checkpoint(Protocol):
    """Keeps what a run has come to, so that another worker could go on from there."""

    async def __call__(self, progress: Progress, items: Sequence[Item]) -> None:
        """Store the items that are new since the last call, and the progress, in one step."""


State = Literal["completed", "incomplete", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopResult:
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
