"""The kinds of tools that need no model: what a run and a test call carry out alike."""

from collections.abc import Mapping

from agents.runtime.tools.builtin import BuiltinTools
from agents.runtime.tools.http.calling import HttpTools
from agents.runtime.tools.kind import Kind
from agents.runtime.tools.mcp.calling import McpTools
from kernel.egress import Egress


def own_kinds(egress: Egress) -> Mapping[str, Kind]:
    """By the names of `ToolKind`."""
    return {"builtin": BuiltinTools(), "http": HttpTools(egress), "mcp": McpTools(egress)}
