"""What others offer as tools: the operations of an OpenAPI document, the tools of an MCP server.

Nothing is stored here. What is wrong is a ValidationError with a sentence at the field it is about.
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
from agents.schema.tool_candidates import Credential, Offer
from kernel.egress.client import Request, configured_egress, fetch_now
from kernel.egress.rules import TargetRefused
from kernel.errors import PlatformError
from kernel.storage.database import let_go_of_database

FETCH_SECONDS = 15.0
OK = 200
MAX_SENTENCE_CHARS = 300


def fetch_document(*, url: str) -> bytes:
    """The document behind `url`, of at most 4 MiB, asked for as tools ask."""
    let_go_of_database()
    request = Request(method="GET", url=url, headers={"accept": "application/json, */*;q=0.5"})
    try:
        answer = fetch_now(request, seconds=FETCH_SECONDS, most_bytes=MAX_DOCUMENT_BYTES)
    except PlatformError as error:
        raise ValidationError({"url": error.message}) from error
    if answer.status != OK:
        raise ValidationError({"url": f"The address answered with HTTP {answer.status}."})
    return answer.body


def find_operations(*, text: bytes, source: str, credential: Credential) -> Offer:
    """The operations in `text`; `source` is the address it came from, if there is one."""
    try:
        found = import_operations(read_document(text), source=source)
        ensure_some_server({str(tool.settings["url"]) for tool in found.tools})
    except WrongDocument as error:
        raise ValidationError({"document": str(error)}) from error
    return Offer(
        kind="http",
        tools=redacted_tools(found.tools, credential),
        skipped=found.skipped,
        credential_host=own_host(found),
    )


def own_host(found: Imported) -> str:
    """The host of the document's own server, or the only one that its operations have."""
    hosts = {host_of(str(tool.settings["url"])) for tool in found.tools}
    own = host_of(found.server) if found.server else ""
    if own in hosts or len(hosts) != 1:
        return own
    return hosts.pop()


def ensure_some_server(urls: Collection[str]) -> None:
    """Raises WrongDocument if none of the servers may be called. One that may not be called among
    others that may is a problem of its own tools.
    """
    refused = [(url, reason) for url in sorted(urls) if (reason := why_refused(url))]
    if refused and len(refused) == len(urls):
        url, reason = refused[0]
        # A URL in a document may be long, and is a stranger's.
        raise WrongDocument(f"Its server {url[:100]!r} may not be called. {reason}")


def why_refused(url: str) -> str:
    """A sentence if nothing may be sent to `url`, else empty."""
    try:
        configured_egress().ensure_target(without_braces(url))
    except TargetRefused as error:
        return error.message
    return ""


def find_on_server(*, url: str, credential: Credential) -> Offer:
    """The tools that an MCP server lists, within 20 seconds."""
    settings = McpSettings(
        url=url,
        tool="-",
        credential_header=credential.header,
        credential_prefix=credential.prefix,
    )
    let_go_of_database()
    listing = McpTools(configured_egress()).find_tools(settings, credential=credential.secret)
    try:
        found = asyncio.run(listing)
    except TimeoutError:
        raise ValidationError({"url": "The MCP server took too long to answer."}) from None
    except PlatformError as error:
        # A server may repeat what it was sent in what it says went wrong.
        said = first_line(redact_credential(credential.secret, error.message))
        raise ValidationError({"url": said}) from None
    except WrongSettings as error:
        raise ValidationError(str(error)) from error
    skipped = tuple(
        Skipped(name=redact_credential(credential.secret, each.name), reason=each.reason)
        for each in found.skipped
    )
    if not found.tools:
        reasons = " ".join(f"{each.name}: {each.reason}" for each in skipped)[:MAX_SENTENCE_CHARS]
        none = "The MCP server has no tools" + (f" that can be used. {reasons}" if skipped else ".")
        raise ValidationError({"url": none})
    tools = tuple(redacted(tool, credential.secret) for tool in unique(found.tools))
    return Offer(
        kind="mcp",
        tools=redacted_tools(tools, credential),
        skipped=skipped,
        credential_host=host_of(url),
    )


def first_line(text: str) -> str:
    """The MCP library tells at length where an answer is wrong, which helps nobody here."""
    line = text.split("\n", maxsplit=1)[0].strip()[:MAX_SENTENCE_CHARS]
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."


def redacted(tool: ImportedTool, secret: str) -> ImportedTool:
    """Without the credential, which a server could write into what everybody reads."""
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
