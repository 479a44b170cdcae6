"""What MCP servers answer, in the form that the library demands; pure.

The library refuses an answer as a whole if one part of it is wrong. Here what is right is kept, and
what is not is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agents.schema.imported_tool import Skipped

Json = dict[str, Any]
MAX_NAME_CHARS = 100
TOOL_KEYS = ("name", "title", "description", "inputSchema")
"""What is read of a tool. Its other members cannot make it unusable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedTools:
    """A page of `tools/list`."""

    result: Json
    skipped: tuple[Skipped, ...]
    notes: Mapping[str, str]
    """By the name of the tool that it is about."""


def check_tools(result: Json) -> CheckedTools:
    """The page with its usable tools. One that is no page stays as it is."""
    tools = result.get("tools")
    if not isinstance(tools, list):
        return CheckedTools(result=result, skipped=(), notes={})
    kept, skipped, notes = [], [], {}
    for number, tool in enumerate(tools, start=1):
        reason = why_unusable(tool)
        if reason:
            skipped.append(Skipped(name=name_of(tool, number), reason=reason))
            continue
        kept.append({key: tool[key] for key in TOOL_KEYS if isinstance(tool.get(key), str | dict)})
        if "outputSchema" in tool and not is_object_schema(tool["outputSchema"]):
            notes[tool["name"]] = "Its outputSchema describes no object, and is ignored."
    checked = {**result, "tools": kept}
    if not isinstance(result.get("nextCursor"), str):
        checked.pop("nextCursor", None)
    return CheckedTools(result=checked, skipped=tuple(skipped), notes=notes)


def name_of(tool: object, number: int) -> str:
    name = tool.get("name") if isinstance(tool, dict) else None
    return name[:MAX_NAME_CHARS] if isinstance(name, str) and name else f"tool {number}"


def why_unusable(tool: object) -> str:
    """A sentence; empty for a tool that can be called."""
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
    """The result of `tools/call` with parts that the library knows; of others what they are.

    What asks for input, and what is no result at all, stays as it is.
    """
    content = result.get("content", [])
    if not isinstance(content, list) or result.get("resultType", "complete") != "complete":
        return result
    structured = result.get("structuredContent")
    known = [part for part in content if is_known(part)]
    unknown = [kind_of(part) for part in content if not is_known(part)]
    parts = [
        plain(part) if is_known(part) else text(f"[{kind_of(part)}, which is no text]")
        for part in content
    ]
    if not content and structured is not None:
        parts = [text(msgspec.json.encode(structured).decode())]
    checked = {key: result[key] for key in ("resultType",) if key in result}
    # A result of which nothing can be read is no success.
    nothing_known = bool(unknown) and not known and structured is None
    if nothing_known:
        parts = [text(f"The tool answered with {', '.join(unknown)[:200]}, which cannot be read.")]
    elif unknown and not known:
        parts.append(text(msgspec.json.encode(structured).decode()))
    is_error = result.get("isError") is True or nothing_known
    return {**checked, "content": parts, "isError": is_error}


PART_KEYS = frozenset({"type", "text", "data", "mimeType", "uri", "name", "resource", "blob"})


def plain(part: Json) -> Json:
    """Without annotations and the like, which cannot make a part unreadable."""
    return {
        key: plain(value) if isinstance(value, dict) else value
        for key, value in part.items()
        if key in PART_KEYS and isinstance(value, str | dict)
    }


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def kind_of(part: object) -> str:
    kind = part.get("type") if isinstance(part, dict) else None
    return kind[:MAX_NAME_CHARS] if isinstance(kind, str) and kind else "something without a type"


def is_known(part: object) -> bool:
    """Whether the library can read a part."""
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
