"""Selects the tools that a request offers to the model, from the agent's and the client's. Pure.

Source: Open Responses 2026-04-24, "tool_choice". Engines do not support `allowed_tools`, so that
they get the allowed tools only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from inference.relay.schema import ChatRequest, ToolDefinition
from kernel.errors import InvalidParameter

MAX_TOOLS = 128
CHOICE = "tool_choice"
EngineChoice = Literal["none", "auto", "required"] | dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTools:
    """The tools and the choice for the engine's request, and the client's tools for the plan."""

    tools: tuple[ToolDefinition, ...]
    choice: EngineChoice
    client_tools: frozenset[str]


def offer_tools(
    ours: Sequence[ToolDefinition],
    theirs: Sequence[ToolDefinition],
    choice: str | dict[str, Any] | None,
) -> OfferedTools:
    """`ours` are the agent's tools, `theirs` the functions that the client executes.

    Raises InvalidParameter for a duplicate name, and for a choice of an unknown tool.
    """
    names = [tool.function.name for tool in (*ours, *theirs)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidParameter(f"There are two tools named {twice!r}.", param="tools")
    if len(names) > MAX_TOOLS:
        raise InvalidParameter(f"A request has at most {MAX_TOOLS} tools.", param="tools")
    allowed, engine_choice = read_choice(choice, names)
    tools = tuple(tool for tool in (*ours, *theirs) if tool.function.name in allowed)
    if not tools and engine_choice == "required":
        raise InvalidParameter("tool_choice requires a tool, and there is none.", param=CHOICE)
    return OfferedTools(
        tools=tools,
        choice=engine_choice if names else None,
        client_tools=frozenset(tool.function.name for tool in theirs) & frozenset(allowed),
    )


def with_allowed_tools(request: ChatRequest) -> ChatRequest:
    """Return a chat request for engines: with the allowed tools only, in place of `allowed_tools`.

    Raises InvalidParameter.
    """
    if not isinstance(request.tool_choice, dict):
        return request
    if request.tool_choice.get("type") != "allowed_tools":
        return request
    offer = offer_tools((), request.tools or (), request.tool_choice)
    return msgspec.structs.replace(
        request, tools=list(offer.tools) or None, tool_choice=offer.choice if offer.tools else None
    )


def read_choice(
    choice: str | dict[str, Any] | None, names: Sequence[str]
) -> tuple[Collection[str], EngineChoice]:
    """Return the names of the tools that may be called, and the choice for the engine."""
    match choice:
        case None | "auto" | "none":
            return names, choice
        case "required" if names:
            return names, "required"
        case {"type": "allowed_tools", "tools": list(tools), **rest}:
            return read_allowed(tools, "auto" if rest.get("mode") is None else rest["mode"], names)
        case {"type": "allowed_tools", "allowed_tools": {"tools": list(tools), **rest}}:
            return read_allowed(tools, "auto" if rest.get("mode") is None else rest["mode"], names)
        case dict() if name_of(choice) in names:
            return names, {"type": "function", "function": {"name": name_of(choice)}}
    raise InvalidParameter(
        'tool_choice is "auto", "none", "required", one of the tools, or allowed_tools.',
        param=CHOICE,
    )


def name_of(tool: Any) -> str:
    """Return the name of a tool of the Responses API or of chat requests, or ""."""
    match tool:
        case {"type": "function", "function": {"name": str(name)}}:
            return name
        case {"type": "function" | "mcp", "name": str(name)}:
            return name
        case {"name": str(name)} if "type" not in tool:
            return name
        case _:
            return ""


def read_allowed(
    tools: list[Any], mode: Any, names: Sequence[str]
) -> tuple[Collection[str], EngineChoice]:
    chosen = [name_of(tool) for tool in tools]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise InvalidParameter(
            f"tool_choice allows {str(unknown[0])[:100]!r}, which is not among the tools.",
            param=CHOICE,
        )
    if mode not in ("none", "auto", "required"):
        raise InvalidParameter('The mode is "auto", "none" or "required".', param=CHOICE)
    return chosen, mode
