"""Calls tools of MCP servers, if the library is installed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from agents.runtime.loop.ports import CallContext, ToolResult, ToolSpec
from agents.runtime.tools.http.parameters import CONTROL
from agents.runtime.tools.mcp.settings import McpSettings, ensure_mcp_settings
from agents.runtime.tools.settings import WrongSettings, read_settings
from agents.schema.imported_tool import ImportedTool, Skipped
from kernel.egress.client import Egress

SESSION = "agents.runtime.tools.mcp.session"
LIST_SECONDS = 20.0
MISSING = "MCP is not installed here. The operator can add it: pip install 'tenantry[mcp]'."


def is_installed() -> bool:
    return find_spec("mcp") is not None


async def load_library() -> None:
    """Import the library on a thread, so that no call spends its timeout on the import.

    The import takes a second or more.
    """
    if is_installed():
        await asyncio.to_thread(import_module, SESSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTools:
    """The tools of a server."""

    tools: tuple[ImportedTool, ...]
    skipped: tuple[Skipped, ...] = ()


class McpTools:
    """Implements `ToolHandler`. One per worker: it keeps connections between calls."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._library: ModuleType | None = None
        self._sessions: Any = None

    async def call(
        self, tool: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> ToolResult:
        """Raises TargetRefused and EgressFailed."""
        settings = read_settings(tool.settings, McpSettings)
        headers = headers_of(settings, tool.credential)
        if not is_installed():
            return ToolResult(text=MISSING, is_error=True)
        library = await self._load()
        result: ToolResult = await library.call_tool(
            self._sessions,
            library.McpServer(tenant_id=tool.tenant_id, url=settings.url, headers=headers),
            tool=settings.tool,
            schema=tool.schema,
            arguments=arguments,
            seconds=tool.timeout_seconds,
        )
        return result

    async def find_tools(self, settings: McpSettings, *, credential: str) -> ListedTools:
        """Return the tools of a server. Raises TargetRefused, EgressFailed and WrongSettings."""
        if not is_installed():
            raise WrongSettings(MISSING)
        headers = headers_of(settings, credential)
        library = await self._load()
        server = library.McpServer(tenant_id=0, url=settings.url, headers=headers)
        async with asyncio.timeout(LIST_SECONDS):
            tools, skipped = await library.list_tools(self._sessions, server)
        return ListedTools(tools=tools, skipped=skipped)

    async def list_tools(
        self, settings: McpSettings, *, credential: str
    ) -> tuple[ImportedTool, ...]:
        """Return the usable tools of `find_tools`."""
        return (await self.find_tools(settings, credential=credential)).tools

    async def _load(self) -> ModuleType:
        if self._library is None:
            await load_library()
            self._library = import_module(SESSION)
            self._sessions = self._library.open_sessions(self._egress)
        return self._library


def headers_of(settings: McpSettings, credential: str) -> dict[str, str]:
    """Return the header with the credential. Raises WrongSettings."""
    ensure_mcp_settings(settings)
    if CONTROL.search(credential):
        raise WrongSettings("The credential contains a line break or another control character.")
    if not credential:
        return {}
    return {settings.credential_header.lower(): settings.credential_prefix + credential}
