"""The handler of a tool kind, and what the handler of hand-offs needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agents.runtime.loop.ports import (
    CallContext,
    RunPlan,
    StreamModel,
    Toolbox,
    ToolResult,
    ToolSpec,
)


class ToolHandler(Protocol):
    """Calls the tools of one kind."""

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Call a tool within its timeout. Raises errors of the error tree, for the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffTarget:
    """An agent with a plan for one message."""

    plan: RunPlan
    stream_model: StreamModel
    """The agent's model, billed to the principal of the calling run."""
    tools: Toolbox


class FindHandoffTarget(Protocol):
    """Finds an agent of the run's tenant for a hand-off."""

    async def __call__(self, slug: str, message: str) -> HandoffTarget:
        """Raises NotFound, and AgentsUnavailable."""
