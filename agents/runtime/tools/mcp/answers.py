"""Repairs the responses of MCP servers to the form that the library requires. Pure.

The library refuses a whole response if one part of it is invalid. Here the valid parts are used,
and the invalid ones are named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.schema.imported_tool import Skipped

Json = dict[str, Any]
MAX_NAME_CHARS = 100
TOOL_KEYS = ("name", "title", "description", "inputSchema")
"""The members of a tool that are read. The others are removed, so that they cannot be invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTools:
    """A page of `tools/list`."""

    result: Json
    skipped: tuple[Skipped, ...]
    notes: Mapping[str, str]
    """Notes by the name of the tool."""


def check_tools(result: Json) -> CheckedTools:
    """Return the page with its usable tools. A result that is no page is returned unchanged."""
    tools = result.get("tools")
    if not isinstance(tools, list):
        return CheckedTools(result=result, skipped=(), notes={})
    usable, skipped, notes = [], [], {}
    for number, tool in enumerate(tools, start=1):
        reason = why_unusable(tool)
        if reason:
            skipped.append(Skipped(name=name_of(tool, number), reason=reason))
            continue
        usable.append(
            {key: tool[key] for key in TOOL_KEYS if isinstance(tool.get(key), str | dict)}
        )
        if "outputSchema" in tool and not is_object_schema(tool["outputSchema"]):
            notes[tool["name"]] = "Its outputSchema describes no object, and is ignored."
    checked = {**result, "tools": usable}
    if not isinstance(result.get("nextCursor"), str):
        checked.pop("nextCursor", None)
    return CheckedTools(result=checked, skipped=tuple(skipped), notes=notes)


def name_of(tool: object, number: int) -> str:
    name = tool.get("name") if isinstance(tool, dict) else None
    return name[:MAX_NAME_CHARS] if isinstance(name, str) and name else f"tool {number}"


def why_unusable(tool: object) -> str:
    """Return the reason why a tool cannot be called; empty if it can."""
    if not isinstance(tool, dict):
        return "It is not an object."
    if not isinstance(tool.get("name"), str) or not tool["name"]:
        return "It has no name."
    if tool.get("inputSchema") is None:
        return "It has no inputSchema."
    if not is_object_schema(tool["inputSchema"]):
        return 'Its inputSchema does not describe an object: "type" must be "object".'
    return ""


def is_object_schema(schema: object) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "object"


def check_call(result: Json) -> Json:
    """Return the result of `tools/call` with readable parts; others become a note.

    A request for input, and a value that is no result, are returned unchanged.
    """
    content = result.get("content", [])
    if not isinstance(content, list) or result.get("resultType", "complete") != "complete":
        return result
    structured = result.get("structuredContent")
    readable = [part for part in content if is_readable(part)]
    unreadable = [kind_of(part) for part in content if not is_readable(part)]
    parts = [
        plain(part) if is_readable(part) else text(f"[{kind_of(part)}, which is no text]")
        for part in content
    ]
    if not content and structured is not None:
        parts = [text(msgspec.json.encode(structured).decode())]
    checked = {key: result[key] for key in ("resultType",) if key in result}
    # A result without a readable part is an error.
    nothing_readable = bool(unreadable) and not readable and structured is None
    if nothing_readable:
        parts = [
            text(f"The tool answered with {', '.join(unreadable)[:200]}, which cannot be read.")
        ]
    elif unreadable and not readable:
        parts.append(text(msgspec.json.encode(structured).decode()))
    is_error = result.get("isError") is True or nothing_readable
    return {**checked, "content": parts, "isError": is_error}


PART_KEYS = frozenset({"type", "text", "data", "mimeType", "uri", "name", "resource", "blob"})


def plain(part: Json) -> Json:
    """Return a part without annotations and other members that the library would validate."""
    return {
        key: plain(value) if isinstance(value, dict) else value
        for key, value in part.items()
        if key in PART_KEYS and isinstance(value, str | dict)
    }


def text(content: str) -> Json:
    return {"type": "text", "text": content}


def kind_of(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind[:MAX_NAME_CHARS] if isinstance(kind, str) and kind else "something without a type"


def is_readable(part: object) -> bool:
    """Return whether the library can read a part."""
    if not isinstance(part, dict):
        return False
    match part.get("type"):
        case "text":
            return isinstance(part.get("text"), str)
        case "image" | "audio":
            return isinstance(part.get("data"), str) and isinstance(part.get("mimeType"), str)
        case "resource":
            inner = part.get("resource")
            return (
                isinstance(inner, dict)
                and isinstance(inner.get("uri"), str)
                and (isinstance(inner.get("text"), str) or isinstance(inner.get("blob"), str))
            )
        case "resource_link":
            return isinstance(part.get("uri"), str) and isinstance(part.get("name"), str)
        case _:
            return False
