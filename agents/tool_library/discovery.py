"""Lists tools to import: the operations of an OpenAPI document, or the tools of an MCP server.

Nothing is stored here. Functions raise ValidationError with a message per field.
"""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError

from agents.runtime.loop.tool_output import redact_credential
from agents.runtime.tools.http.openapi import (
    Imported,
    WrongDocument,
    import_operations,
    read_document,
)
from agents.runtime.tools.http.openapi_text import MAX_DOCUMENT_BYTES
from agents.runtime.tools.mcp.calling import McpTools
from agents.runtime.tools.mcp.settings import McpSettings
from agents.runtime.tools.settings import WrongSettings
from agents.runtime.tools.validation import host_of, without_braces
from agents.schema.imported_tool import ImportedTool, Skipped, unique
from agents.schema.tool_candidates import Credential, ToolCandidates
from kernel.egress.client import Request, configured_egress, fetch_now
from kernel.egress.rules import TargetRefused
from kernel.errors import PlatformError
from kernel.storage.database import close_database_connection

FETCH_TIMEOUT_SECONDS = 15.0
OK = 200
MAX_MESSAGE_CHARS = 300


def fetch_document(*, url: str) -> bytes:
    """Fetch a document of at most 4 MiB, with the egress rules of tools. Raises ValidationError."""
    close_database_connection()
    request = Request(method="GET", url=url, headers={"accept": "application/json, */*;q=0.5"})
    try:
        answer = fetch_now(request, seconds=FETCH_TIMEOUT_SECONDS, max_bytes=MAX_DOCUMENT_BYTES)
    except PlatformError as error:
        raise ValidationError({"url": error.message}) from error
    if answer.status != OK:
        raise ValidationError({"url": f"The address answered with HTTP {answer.status}."})
    return answer.body


def find_operations(*, text: bytes, source: str, credential: Credential) -> ToolCandidates:
    """Return the operations in `text`. `source` is the URL that it came from, or empty."""
    try:
        found = import_operations(read_document(text), source=source)
        ensure_some_server({str(tool.settings["url"]) for tool in found.tools})
    except WrongDocument as error:
        raise ValidationError({"document": str(error)}) from error
    return ToolCandidates(
        kind="http",
        tools=redacted_tools(found.tools, credential),
        skipped=found.skipped,
        credential_host=own_host(found),
    )


def own_host(found: Imported) -> str:
    """Return the host of the document's own server, or the only host of its operations."""
    hosts = {host_of(str(tool.settings["url"])) for tool in found.tools}
    own = host_of(found.server) if found.server else ""
    if own in hosts or len(hosts) != 1:
        return own
    return hosts.pop()


def ensure_some_server(urls: Collection[str]) -> None:
    """Raises WrongDocument if none of the servers may be called.

    If some may be called, each tool of another server has the problem itself.
    """
    refused = [(url, reason) for url in sorted(urls) if (reason := refusal_of(url))]
    if refused and len(refused) == len(urls):
        url, reason = refused[0]
        # A URL in a document is untrusted and may be long.
        raise WrongDocument(f"Its server {url[:100]!r} may not be called. {reason}")


def refusal_of(url: str) -> str:
    """Return the reason why requests to `url` are refused. Empty if they are allowed."""
    try:
        configured_egress().ensure_target(without_braces(url))
    except TargetRefused as error:
        return error.message
    return ""


def find_on_server(*, url: str, credential: Credential) -> ToolCandidates:
    """List the tools of an MCP server within 20 seconds. Raises ValidationError."""
    settings = McpSettings(
        url=url,
        tool="-",
        credential_header=credential.header,
        credential_prefix=credential.prefix,
    )
    close_database_connection()
    listing = McpTools(configured_egress()).find_tools(settings, credential=credential.secret)
    try:
        found = asyncio.run(listing)
    except TimeoutError:
        raise ValidationError({"url": "The MCP server did not respond in time."}) from None
    except PlatformError as error:
        # A server may repeat the credential in its error message.
        message = first_line(redact_credential(credential.secret, error.message))
        raise ValidationError({"url": message}) from None
    except WrongSettings as error:
        raise ValidationError(str(error)) from error
    skipped = tuple(
        Skipped(name=redact_credential(credential.secret, each.name), reason=each.reason)
        for each in found.skipped
    )
    if not found.tools:
        reasons = " ".join(f"{each.name}: {each.reason}" for each in skipped)[:MAX_MESSAGE_CHARS]
        none = "The MCP server has no tools" + (f" that can be used. {reasons}" if skipped else ".")
        raise ValidationError({"url": none})
    tools = tuple(redacted(tool, credential.secret) for tool in unique(found.tools))
    return ToolCandidates(
        kind="mcp",
        tools=redacted_tools(tools, credential),
        skipped=skipped,
        credential_host=host_of(url),
    )


def first_line(text: str) -> str:
    """Return the first line of an error message. The MCP library adds long details after it."""
    line = text.split("\n", maxsplit=1)[0].strip()[:MAX_MESSAGE_CHARS]
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."


def redacted(tool: ImportedTool, secret: str) -> ImportedTool:
    """Remove the credential from texts of the server, which all users of the tenant can read."""
    return replace(
        tool,
        name=redact_credential(secret, tool.name),
        description=redact_credential(secret, tool.description),
        schema=redacted_json(tool.schema, secret),
    )


def redacted_json(value: Any, secret: str) -> Any:
    match value:
        case str():
            return redact_credential(secret, value)
        case list():
            return [redacted_json(each, secret) for each in value]
        case dict():
            return {
                redact_credential(secret, name): redacted_json(each, secret)
                for name, each in value.items()
            }
        case _:
            return value


def redacted_tools(
    tools: tuple[ImportedTool, ...], credential: Credential
) -> tuple[ImportedTool, ...]:
    return tuple(replace(tool, settings={**tool.settings, **credential.settings}) for tool in tools)
