"""How a tool of any kind is called, and what hand-offs are given for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from agents.runtime.loop.ports import AskModel, CallContext, RunPlan, Toolbox, ToolResult, ToolSpec


class ToolHandler(Protocol):
    """Carries out the tools of one kind."""

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises leaves of the error tree, which the model reads. Within the tool's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffTarget:
    """An agent, ready to answer one message."""

    plan: RunPlan
    ask: AskModel
    """Admits and bills each model call for the same caller, as this agent's."""
    tools: Toolbox


class FindHandoffTarget(Protocol):
    """Finds agents of the tenant that runs."""

    async def __call__(self, slug: str, message: str) -> HandoffTarget:
        """Raises NotFound and what stands in the way of asking its model."""
