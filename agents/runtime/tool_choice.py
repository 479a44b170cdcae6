"""Which tools a request offers to the model: the agent's and the client's, or some of them. Pure.

Source: Open Responses 2026-04-24, "tool_choice"; `allowed_tools` is a hard limit there, of which
engines know nothing: they are told of those tools only.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from inference.relay.parameters import Tool
from kernel.errors import InvalidParameter

MOST_TOOLS = 128
EngineChoice = Literal["none", "auto", "required"] | dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What goes into the engine's request and the plan."""

    tools: tuple[Tool, ...]
    choice: EngineChoice
    client_tools: frozenset[str]


def offer_tools(
    ours: Sequence[Tool], theirs: Sequence[Tool], choice: str | dict[str, Any] | None
) -> Offer:
    """`ours` are the agent's tools, `theirs` the functions that the client carries out itself.

    Raises InvalidParameter for a name that is taken twice, and for a choice of what is not there.
    """
    names = [tool.function.name for tool in (*ours, *theirs)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidParameter(f"There are two tools named {twice!r}.", param="tools")
    if len(names) > MOST_TOOLS:
        raise InvalidParameter(f"A request has at most {MOST_TOOLS} tools.", param="tools")
    allowed, engine_choice = read_choice(choice, names)
    return Offer(
        tools=tuple(tool for tool in (*ours, *theirs) if tool.function.name in allowed),
        choice=engine_choice if names else None,
        client_tools=frozenset(tool.function.name for tool in theirs) & frozenset(allowed),
    )


def read_choice(
    choice: str | dict[str, Any] | None, names: Sequence[str]
) -> tuple[Collection[str], EngineChoice]:
    """The names that may be called, and what the engine is told."""
    match choice:
        case None | "auto" | "none":
            return names, choice
        case "required" if names:
            return names, "required"
        case {"type": "function", "name": str(name)} if name in names:
            return names, {"type": "function", "function": {"name": name}}
        case {"type": "function", "function": {"name": str(name)}} if name in names:
            return names, {"type": "function", "function": {"name": name}}
        case {"type": "allowed_tools", "tools": list(tools), **rest}:
            return read_allowed(tools, rest.get("mode", "auto"), names)
    raise InvalidParameter(
        'tool_choice is "auto", "none", "required", one of the tools, or allowed_tools.',
        param="tool_choice",
    )


def read_allowed(
    tools: list[Any], mode: Any, names: Sequence[str]
) -> tuple[Collection[str], EngineChoice]:
    chosen = [tool.get("name") if isinstance(tool, dict) else None for tool in tools]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        raise InvalidParameter(
            f"tool_choice allows {str(unknown[0])[:100]!r}, which is not among the tools.",
            param="tool_choice",
        )
    if mode not in ("none", "auto", "required"):
        raise InvalidParameter('The mode is "auto", "none" or "required".', param="tool_choice")
    return [str(name) for name in chosen], mode
