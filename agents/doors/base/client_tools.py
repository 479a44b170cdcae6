"""The tools that a client brings to a response: functions, which it executes itself. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agents.schema.json_types import Json
from inference.relay.schema import FunctionTool, Tool, explain
from kernel.errors import InvalidParameter


def functions_of(tools: Iterable[Json] | None) -> tuple[Json, ...]:
    """The functions among `tools`. Tools that a service would have to execute (searches, shells,
    namespaces) are not in force here: the response lists those that are.

    Raises InvalidParameter for what names no type.
    """
    functions = []
    for place, tool in enumerate(tools or ()):
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise InvalidParameter(
                f"tools[{place}]: a tool has a `type`.", param=f"tools[{place}].type"
            )
        if kind == "function":
            functions.append(flat(tool))
    return tuple(functions)


def flat(tool: Json) -> Json:
    """A function in the form of Responses, also if it came in that of chat requests."""
    inner = tool.get("function")
    return {**inner, "type": "function"} if isinstance(inner, dict) else tool


def read_tool(function: Json, *, place: int) -> Tool:
    """The function as engines are told of it. Raises InvalidParameter."""
    given = {name: value for name, value in function.items() if value is not None}
    try:
        return Tool(function=msgspec.convert(given, FunctionTool))
    except msgspec.ValidationError as error:
        problem = explain(error)
        param = f"tools[{place}].{problem.param or ''}".rstrip(".")
        raise InvalidParameter(f"tools[{place}]: {problem.message}", param=param) from error


def tool_in_force(function: Json) -> Json:
    """The function as the response repeats it: what was not said is null."""
    unset: dict[str, Any] = {"description": None, "parameters": None, "strict": None}
    return {**unset, **function}


def format_in_force(given: Json) -> Json:
    """The `text.format` as the response repeats it."""
    if given.get("type") != "json_schema":
        return given
    return {"description": None, "strict": None, **given}
