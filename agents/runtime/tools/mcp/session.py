"""Talks to MCP servers with the official library (the extra `mcp`); imported when first needed.

Both eras: spec 2026-07-28 without sessions, and the handshake of earlier ones, whichever the server
speaks. Each call has a session of its own: pooled ones outlive the task that opened them, and fail
there. Servers are strangers: what they answer is checked by the library, and any failure is told.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import msgspec
from mcp.client import Client
from mcp.client.streamable_http import StreamableHTTPError, streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, EmbeddedResource, TextContent, TextResourceContents
from pydantic import ValidationError

from agents.runtime.imported_tool import ImportedTool
from agents.runtime.ports import ToolResult
from agents.runtime.tools.mcp.transport import EgressTransport
from kernel.egress import Egress, EgressFailed

MOST_PAGES: Final = 20
MOST_TOOLS: Final = 500
LONGEST_DESCRIPTION: Final = 4000
LONGEST_MESSAGE: Final = 1000
FAILURES = (
    MCPError, StreamableHTTPError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError,
    ValidationError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OSError,
)  # fmt: skip
"""What a server can make the library raise, by failing or by answering what is no MCP."""


async def call_tool(
    egress: Egress,
    *,
    url: str,
    headers: Mapping[str, str],
    tool: str,
    arguments: Mapping[str, Any],
    seconds: float,
) -> ToolResult:
    """What the tool said. Raises TargetRefused and EgressFailed, with a sentence in each case."""
    async with connected(egress, url=url, headers=headers, seconds=seconds) as client:
        result = await client.call_tool(tool, dict(arguments))
        return ToolResult(text=text_of(result), is_error=bool(result.is_error))
    raise AssertionError("unreachable")


async def list_tools(
    egress: Egress, *, url: str, headers: Mapping[str, str], seconds: float
) -> tuple[ImportedTool, ...]:
    """The tools of a server, to be stored. Raises TargetRefused and EgressFailed."""
    found: list[ImportedTool] = []
    async with connected(egress, url=url, headers=headers, seconds=seconds) as client:
        cursor = None
        for _ in range(MOST_PAGES):
            page = await client.list_tools(cursor=cursor)
            found += [
                ImportedTool(
                    name=tool.name,
                    description=(tool.description or tool.title or "")[:LONGEST_DESCRIPTION],
                    schema=tool.input_schema,
                    settings={"url": url, "tool": tool.name},
                )
                for tool in page.tools
            ]
            cursor = page.next_cursor
            if cursor is None or len(found) >= MOST_TOOLS:
                break
    return tuple(found[:MOST_TOOLS])


@asynccontextmanager
async def connected(
    egress: Egress, *, url: str, headers: Mapping[str, str], seconds: float
) -> AsyncGenerator[Client]:
    """A session for one errand. Raises what stood in the way as a leaf of the error tree."""
    transport = EgressTransport(egress, seconds=seconds)
    http = httpx2.AsyncClient(transport=transport, headers=dict(headers), trust_env=False)
    try:
        async with (
            http,
            Client(
                streamable_http_client(url, http_client=http),
                read_timeout_seconds=seconds,
                cache=None,
            ) as client,
        ):
            yield client
    except FAILURES as error:
        raise transport.failure or EgressFailed(sentence(error)) from None
    except BaseExceptionGroup as group:
        # The library's own tasks; a cancelled one is cancelled, and not a failure.
        if not all(isinstance(each, FAILURES) for each in leaves(group)):
            raise
        raise transport.failure or EgressFailed(sentence(leaves(group)[0])) from None


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for each in group.exceptions
        for leaf in (leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    ]


def sentence(error: BaseException) -> str:
    """What the server says went wrong; of other failures only that there was one."""
    if isinstance(error, MCPError):
        return f"The MCP server says: {error.message[:LONGEST_MESSAGE]}"
    return f"The MCP server did not answer as it should ({error.__class__.__name__})."


def text_of(result: CallToolResult) -> str:
    """The parts of a result that are text; of others what they are."""
    texts = [part_text(part) for part in result.content]
    if not texts and result.structured_content is not None:
        return msgspec.json.encode(result.structured_content).decode()
    return "\n".join(texts)


def part_text(part: Any) -> str:
    if isinstance(part, TextContent):
        return part.text
    if isinstance(part, EmbeddedResource) and isinstance(part.resource, TextResourceContents):
        return part.resource.text
    uri = getattr(part, "uri", None)
    return f"[{part.type}: {uri}]" if uri else f"[{part.type}, which is no text]"
