"""The help texts of the kinds of tools in the console's form."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An example of the settings of one kind."""

    title: str
    explains: str
    json: str


EXAMPLES = {
    "http": Example(
        title="HTTP request",
        explains="the method and URL. Arguments in braces are put into the URL, the others into "
        "the query or, with POST, into a JSON body.",
        json='{"method": "GET", "url": "https://api.example.org/orders/{number}"}',
    ),
    "mcp": Example(
        title="MCP server",
        explains="the URL of the server, and the name of one of its tools.",
        json='{"url": "https://mcp.example.org/mcp", "tool": "search"}',
    ),
    "agent": Example(
        title="Another agent",
        explains="the short name of an agent of the same tenant.",
        json='{"agent": "billing"}',
    ),
    "a2a": Example(
        title="Agent of others",
        explains="the name of a registered remote agent. Its only argument is the message; the "
        "credential is that of the remote agent.",
        json='{"agent": "partner"}',
    ),
    "builtin": Example(
        title="Built-in",
        explains="time, calculator, send_message, publish or ask_agent. Its arguments and "
        "description are predefined. The last three may have `agents` or `topics`, to which they "
        "are limited.",
        json='{"function": "time"}',
    ),
}
SCHEMA_EXAMPLE = (
    'JSON Schema of the arguments. Its type is object: {"type": "object", "properties": '
    '{"number": {"type": "string"}}, "required": ["number"]}'
)
