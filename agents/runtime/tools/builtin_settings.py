"""The built-in tools, with their descriptions and schemas for models. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.runtime.tools.settings import KindSettings


class BuiltinSettings(KindSettings, frozen=True):
    """The name of a built-in tool."""

    function: Literal["time", "calculator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """The description and the schema of a built-in tool, for models."""

    description: str
    schema: Mapping[str, Any]


BUILTINS: Mapping[str, Builtin] = {
    "time": Builtin(
        description="The current date and time, with the day of the week, in a time zone.",
        schema={
            "type": "object",
            "properties": {
                "zone": {
                    "type": "string",
                    "description": "A name of the IANA database, for example Europe/Berlin.",
                }
            },
            "additionalProperties": False,
        },
    ),
    "calculator": Builtin(
        description="Evaluates an arithmetic expression, for example (3 + 4.5) * 2 ** 8.",
        schema={
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
            "additionalProperties": False,
        },
    ),
}
