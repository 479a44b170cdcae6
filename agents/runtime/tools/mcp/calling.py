"""Carries out tools of MCP servers, where the library is installed."""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from agents.runtime.imported_tool import ImportedTool
from agents.runtime.ports import CallContext, ToolResult, ToolSpec
from agents.runtime.tools.http.parameters import CONTROL
from agents.runtime.tools.mcp.settings import McpSettings, ensure_askable
from agents.runtime.tools.settings import WrongSettings, read_settings
from kernel.egress import Egress

SESSION = "agents.runtime.tools.mcp.session"
LIST_SECONDS = 20.0
MISSING = "MCP is not installed here. The operator can add it: pip install 'tenantry[mcp]'."


def is_installed() -> bool:
    return find_spec("mcp") is not None


class McpTools:
    """Implements `Kind`."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._session: ModuleType | None = None

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises TargetRefused and EgressFailed."""
        settings = read_settings(tool.settings, McpSettings)
        headers = headers_of(settings, tool.credential)
        if not is_installed():
            return ToolResult(text=MISSING, is_error=True)
        session = await self._load()
        result: ToolResult = await session.call_tool(
            self._egress,
            url=settings.url,
            headers=headers,
            tool=settings.tool,
            arguments=arguments,
            seconds=tool.timeout_seconds,
        )
        return result

    async def list_tools(
        self, settings: McpSettings, *, credential: str
    ) -> tuple[ImportedTool, ...]:
        """What the server has to offer. Raises TargetRefused, EgressFailed and WrongSettings."""
        if not is_installed():
            raise WrongSettings(MISSING)
        session = await self._load()
        async with asyncio.timeout(LIST_SECONDS):
            found: tuple[ImportedTool, ...] = await session.list_tools(
                self._egress,
                url=settings.url,
                headers=headers_of(settings, credential),
                seconds=LIST_SECONDS,
            )
        return found

    async def _load(self) -> ModuleType:
        """The library takes a second to import, during which others have their turn."""
        if self._session is None:
            self._session = await asyncio.to_thread(import_module, SESSION)
        return self._session


def headers_of(settings: McpSettings, credential: str) -> dict[str, str]:
    """Raises WrongSettings."""
    ensure_askable(settings)
    if CONTROL.search(credential):
        raise WrongSettings("The credential holds a line break or another control character.")
    if not credential:
        return {}
    return {settings.credential_header.lower(): settings.credential_prefix + credential}
