"""Which tools are built in, and what the model is told of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.runtime.tools.settings import KindSettings


class BuiltinSettings(KindSettings, frozen=True):
    """Which one it is."""

    function: Literal["time", "calculator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """What the model is told of one."""

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
        description="Works out an arithmetic expression, for example (3 + 4.5) * 2 ** 8.",
        schema={
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
            "additionalProperties": False,
        },
    ),
}
