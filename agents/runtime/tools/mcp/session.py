"""Calls and lists tools with the official library (the extra `mcp`); imported when first needed.

It supports the spec of 2026-07-28, without sessions, and the handshake of earlier ones. Responses
of servers are validated, and every failure becomes a sentence.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    ListToolsRequest,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)
from pydantic import TypeAdapter

from agents.runtime.loop.ports import ToolResult
from agents.runtime.tools.mcp.connection import FAILURES, explain
from agents.runtime.tools.mcp.dispatcher import LenientDispatcher
from agents.runtime.tools.mcp.parts import result_of
from agents.runtime.tools.mcp.sessions import McpServer, Sessions
from agents.schema.imported_tool import ImportedTool, Skipped
from kernel.egress.client import Egress, EgressFailed

__all__ = ["McpServer", "call_tool", "list_tools", "open_sessions"]

MAX_PAGES: Final = 20
MAX_TOOLS: Final = 500
MAX_ROUNDS: Final = 10
"""Maximum number of calls of a tool that its server may request for one result."""
MAX_DESCRIPTION_CHARS: Final = 4000
RESULT: TypeAdapter[CallToolResult | InputRequiredResult] = TypeAdapter(
    CallToolResult | InputRequiredResult
)


def open_sessions(egress: Egress) -> Sessions:
    """Return the sessions of one worker."""
    return Sessions(egress)


async def call_tool(
    sessions: Sessions,
    server: McpServer,
    *,
    tool: str,
    schema: Mapping[str, Any],
    arguments: Mapping[str, Any],
    seconds: float,
) -> ToolResult:
    """Return the result of the tool. Raises TargetRefused and EgressFailed with a message."""
    try:
        async with asyncio.timeout(seconds), opened(sessions, server) as (session, dispatcher):
            dispatcher.schemas = {**dispatcher.schemas, tool: schema}
            params = CallToolRequestParams(name=tool, arguments=dict(arguments))
            try:
                return await call_until_done(session, params)
            except MCPError as error:
                if error.code != HEADER_MISMATCH or not dispatcher.is_modern:
                    raise
            # The schema has changed since the tool was imported: read its headers again.
            found, _ = await list_all(session, dispatcher)
            fresh = {each.name: each.input_schema for each in found}
            dispatcher.schemas = {**dispatcher.schemas, **fresh}
            return await call_until_done(session, params)
    except TimeoutError:
        raise EgressFailed(f"The MCP server took longer than {seconds:g} s.") from None


async def call_until_done(session: ClientSession, params: CallToolRequestParams) -> ToolResult:
    """Call, and repeat the call as long as the server requests only that."""
    for _ in range(MAX_ROUNDS):
        result = await session.send_request(CallToolRequest(params=params), RESULT)
        if isinstance(result, CallToolResult):
            return result_of(result.content, is_error=bool(result.is_error))
        if result.input_requests:
            wanted = ", ".join(sorted({each.method for each in result.input_requests.values()}))
            text = f"The tool requests more input ({wanted}), which is not supported."
            return ToolResult(text=text, is_error=True)
        params = params.model_copy(update={"request_state": result.request_state})
    raise EgressFailed("The MCP server requested too many repeated calls.")


async def list_tools(
    sessions: Sessions, server: McpServer
) -> tuple[tuple[ImportedTool, ...], tuple[Skipped, ...]]:
    """Return the tools of a server, and those that cannot be used.

    Raises TargetRefused and EgressFailed.
    """
    async with opened(sessions, server) as (session, dispatcher):
        tools, skipped = await list_all(session, dispatcher)
        notes = dispatcher.notes
    found = tuple(
        ImportedTool(
            name=tool.name,
            description=(tool.description or tool.title or "")[:MAX_DESCRIPTION_CHARS],
            schema=tool.input_schema,
            settings={"url": server.url, "tool": tool.name},
            notes=(notes[tool.name],) if tool.name in notes else (),
        )
        for tool in tools
    )
    return found, skipped


async def list_all(
    session: ClientSession, dispatcher: LenientDispatcher
) -> tuple[list[Tool], tuple[Skipped, ...]]:
    """Return the tools of all pages, each once. A repeated cursor ends the list."""
    dispatcher.skipped, dispatcher.notes = (), {}
    found: dict[str, Tool] = {}
    cursor, seen = None, set[str]()
    for _ in range(MAX_PAGES):
        params = PaginatedRequestParams(cursor=cursor)
        page = await session.send_request(ListToolsRequest(params=params), ListToolsResult)
        for tool in page.tools:
            found.setdefault(tool.name, tool)
        cursor = page.next_cursor
        if cursor is None or cursor in seen or len(found) >= MAX_TOOLS:
            break
        seen.add(cursor)
    return list(found.values())[:MAX_TOOLS], tuple(dict.fromkeys(dispatcher.skipped))


@asynccontextmanager
async def opened(
    sessions: Sessions, server: McpServer
) -> AsyncGenerator[tuple[ClientSession, LenientDispatcher]]:
    """Yield a session for one call. Raises failures as leaves of the error tree."""
    async with sessions.connected(server) as connection:
        ready = await connection.ready()
        if connection.users == 1:
            connection.transport.forget_failures()
        try:
            yield ready
        except TimeoutError:
            raise
        except FAILURES as error:
            raise explain(error, connection.transport) from None
