"""What people read about the kinds of tools where they enter them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """The settings of one kind."""

    title: str
    explains: str
    json: str


EXAMPLES = {
    "http": Example(
        title="HTTP request",
        explains="where it goes; arguments stand in braces, the others go into the query, or with "
        "POST into a JSON body.",
        json='{"method": "GET", "url": "https://api.example.org/orders/{number}"}',
    ),
    "mcp": Example(
        title="MCP server",
        explains="the address of the server, and one of the tools that it offers.",
        json='{"url": "https://mcp.example.org/mcp", "tool": "search"}',
    ),
    "agent": Example(
        title="Another agent",
        explains="the short name of an agent of the same tenant that answers instead.",
        json='{"agent": "billing"}',
    ),
    "builtin": Example(
        title="Built in",
        explains="time or calculator; it knows its own arguments and describes itself.",
        json='{"function": "time"}',
    ),
}
SCHEMA_EXAMPLE = (
    "JSON schema of the arguments, an object: "
    '{"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}'
)
