"""The handlers of tool kinds that need no model, for runs and for test calls."""

from collections.abc import Mapping

from agents.runtime.tools.a2a.calling import A2aTools
from agents.runtime.tools.builtin import BuiltinTools
from agents.runtime.tools.http.calling import HttpTools
from agents.runtime.tools.kind import ToolHandler
from agents.runtime.tools.mcp.calling import McpTools
from kernel.egress.client import Egress


def local_tool_handlers(egress: Egress) -> Mapping[str, ToolHandler]:
    """Return the handlers by `ToolKind`."""
    return {
        "a2a": A2aTools(egress),
        "builtin": BuiltinTools(),
        "http": HttpTools(egress),
        "mcp": McpTools(egress),
    }
