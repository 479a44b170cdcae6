"""The functions in the `tools` of a request, which the client executes itself. Pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

from agents.schema.json_types import Json
from inference.relay.schema import FunctionTool, ToolDefinition, explain
from kernel.errors import InvalidParameter


def functions_of(tools: Iterable[Json] | None) -> tuple[Json, ...]:
    """Return the functions in `tools`.

    Tools that the service would have to execute, such as web search, are dropped. The response
    lists the tools in effect. Raises InvalidParameter for a tool without a type.
    """
    functions = []
    for place, tool in enumerate(tools or ()):
        kind = tool.get("type")
        if not isinstance(kind, str):
            raise InvalidParameter(
                f"tools[{place}]: a tool has a `type`.", param=f"tools[{place}].type"
            )
        if kind == "function":
            functions.append(responses_form(tool))
    return tuple(functions)


def responses_form(tool: Json) -> Json:
    """Return a function in the format of the Responses API."""
    inner = tool.get("function")
    return {**inner, "type": "function"} if isinstance(inner, dict) else tool


def read_tool(function: Json, *, place: int) -> ToolDefinition:
    """Return the function in the format of engines. Raises InvalidParameter."""
    given = {name: value for name, value in function.items() if value is not None}
    try:
        return ToolDefinition(function=msgspec.convert(given, FunctionTool))
    except msgspec.ValidationError as error:
        problem = explain(error)
        param = f"tools[{place}].{problem.param or ''}".rstrip(".")
        raise InvalidParameter(f"tools[{place}]: {problem.message}", param=param) from error


def echoed_tool(function: Json) -> Json:
    """Return the function as the response repeats it: missing members are null."""
    unset: dict[str, Any] = {"description": None, "parameters": None, "strict": None}
    return {**unset, **function}


def echoed_format(given: Json) -> Json:
    """Return the `text.format` as the response repeats it."""
    if given.get("type") != "json_schema":
        return given
    return {"description": None, "strict": None, **given}
