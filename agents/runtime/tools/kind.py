"""How a tool of any kind is called."""

from collections.abc import Mapping
from typing import Any, Protocol

from agents.runtime.ports import CallContext, ToolResult, ToolSpec


class Kind(Protocol):
    """Carries out the tools of one kind."""

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises leaves of the error tree, which the model reads. Within the tool's time."""
