"""The ports of the agent loop: the values and callables that it takes and returns.

The loop does not depend on doors, Redis or Django. Its caller implements these callables.
"""

from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from agents.runtime.loop.budget import Budget, Clock, Reason
from agents.runtime.loop.model_delta import ModelDelta
from agents.schema.approval_decision import ApprovalDecision
from agents.schema.items import ApprovalRequest, FunctionCall, Item, OutputPart
from agents.schema.run_limits import RunLimits, RunProgress
from agents.schema.tool_spec import ToolSpec
from inference.relay.schema import ChatRequest

__all__ = ["ApprovalDecision", "Budget", "Clock", "Reason", "RunProgress", "ToolSpec"]


StreamModel = Callable[[ChatRequest], AsyncGenerator[ModelDelta]]
"""Calls the model once. The implementation admits, relays, meters and settles the call.

Raises leaves of the error tree, which end the run: a refusal by the gate, a broken engine.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """The input of the loop, from the beginning or from a checkpoint."""

    request: ChatRequest
    """The first request to the engine: instructions, context with the input, tools, presets."""
    limits: RunLimits
    done: RunProgress = field(default_factory=RunProgress)
    items: tuple[Item, ...] = ()
    """The items that a resumed run made before, in order; they are not in `request.messages`."""
    started_calls: frozenset[str] = frozenset()
    """The ids of calls in `items` that a worker was about to execute when it died."""
    client_tools: frozenset[str] = frozenset()
    """The names of functions that the client executes: a call of one ends the run."""
    agents: tuple[str, ...] = ()
    """The slugs of the agents in a chain of hand-offs; the last one is this run's agent."""
    call: str = ""
    """The calls that handed off to this plan; see `CallContext`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutableCall:
    """A call that can be executed: the tool exists, and the arguments match its schema."""

    call: FunctionCall
    tool: ToolSpec
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """The output of a tool, for the model."""

    text: str
    is_error: bool = False
    parts: tuple[OutputPart, ...] = ()
    """The output in parts, if it contains more than text; else empty, and `text` is the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """The context of a tool call: the budget for a hand-off, and the chain of hand-offs."""

    budget: Budget
    agents: tuple[str, ...] = ()
    call: str = ""
    """The id of the call within the run. Those of the calls that handed off stand before it."""


class Toolbox(Protocol):
    """The tools that one run may call."""

    def find(self, name: str) -> ToolSpec | None:
        """Return the tool of this name; None if there is none."""

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Call the tool. Raises leaves of the error tree, which the model reads as an error."""


class Approvals(Protocol):
    """Requests approvals of tool calls."""

    async def __call__(self, requests: Sequence[ApprovalRequest]) -> Mapping[str, ApprovalDecision]:
        """Create the requests that do not exist, and return the decisions so far, by request id.

        It is called again with the same requests when the run is resumed.
        """


class Checkpoint(Protocol):
    """Stores the progress of a run, so that another worker could resume it."""

    async def __call__(
        self,
        progress: RunProgress,
        items: Sequence[Item],
        *,
        starting: Collection[str] = (),
    ) -> None:
        """Store the items that are new since the last call, and the progress, in one step.

        `starting` are the ids of calls that will be executed next and must not be repeated.
        """


State = Literal["completed", "incomplete", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopResult:
    """The result of the loop."""

    state: State
    progress: RunProgress
    items: tuple[Item, ...]
    """All items of the run, those of the plan included."""
    unsaved: tuple[Item, ...] = ()
    """The last of `items`, which no checkpoint contains: they are stored with the end."""
    reason: Reason | None = None
    approvals: tuple[ApprovalRequest, ...] = ()
    """The approvals that a paused run waits for. Its last checkpoint contains all its items."""
    client_calls: tuple[FunctionCall, ...] = ()
    """The calls that the client must execute, if these ended the run."""
