"""The tools of one run by name, each called by the handler of its kind."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from agents.runtime.loop.ports import CallContext, ToolResult, ToolSpec
from agents.runtime.loop.tool_output import redact_credential
from agents.runtime.tools.kind import ToolHandler
from agents.runtime.tools.settings import WrongSettings
from agents.schema.items import InputText
from inference.relay.schema import FunctionTool, ToolDefinition


class KindToolbox:
    """Implements `ports.Toolbox`."""

    def __init__(self, tools: Iterable[ToolSpec], kinds: Mapping[str, ToolHandler]) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._kinds = kinds

    def find(self, name: str) -> ToolSpec | None:
        return self._tools.get(name)

    def offer(self) -> list[ToolDefinition]:
        """Return the definitions of the tools for the engine."""
        return [offered(tool) for tool in self._tools.values()]

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        kind = self._kinds.get(tool.kind)
        if kind is None:
            return ToolResult(text="Tools of this kind are not installed here.", is_error=True)
        if not tool.is_readable:
            return ToolResult(text="The tool's credential cannot be read.", is_error=True)
        try:
            result = await kind.call(tool, arguments, context)
        except WrongSettings as error:
            return ToolResult(text=f"The settings of the tool are invalid: {error}", is_error=True)
        return redacted(result, tool.credential)


def redacted(result: ToolResult, credential: str) -> ToolResult:
    """Return the result without the credential, which servers may repeat."""
    parts = tuple(
        InputText(text=redact_credential(credential, part.text))
        if isinstance(part, InputText)
        else part
        for part in result.parts
    )
    return replace(result, text=redact_credential(credential, result.text), parts=parts)


def offered(tool: ToolSpec) -> ToolDefinition:
    parameters = dict(tool.schema) or {"type": "object", "properties": {}}
    return ToolDefinition(
        function=FunctionTool(
            name=tool.name,
            description=tool.description or None,
            parameters=parameters,
        )
    )
