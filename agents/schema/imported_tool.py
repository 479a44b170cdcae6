"""A tool of an OpenAPI document or an MCP server, ready to be stored."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

MAX_NAME_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTool:
    """The fields of a `Tool` except its credential, which is added by the import."""

    name: str
    """The name at the source; `tool_name` is the form that models can call."""
    description: str
    schema: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """Sentences about what was omitted from the tool, for the person who imports it."""

    @property
    def tool_name(self) -> str:
        """The name with letters, digits, - and _ only, of at most 64 characters."""
        return re.sub(r"[^A-Za-z0-9_-]+", "_", self.name).strip("_")[:MAX_NAME_CHARS] or "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An operation, or a tool of a server, that cannot be imported."""

    name: str
    reason: str


def unique(tools: Iterable[ImportedTool]) -> tuple[ImportedTool, ...]:
    """Return the tools, renamed so that their `tool_name`s differ."""
    seen: dict[str, int] = {}
    result = []
    for tool in tools:
        count = seen[tool.tool_name] = seen.get(tool.tool_name, 0) + 1
        name = tool.name if count == 1 else f"{tool.tool_name[:60]}_{count}"
        result.append(replace(tool, name=name))
    return tuple(result)
