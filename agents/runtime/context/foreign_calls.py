"""Converts tool calls of other services to calls that any model reads. Pure.

Clients send them in histories of other services: custom tools, shells, searches.
"""

from typing import Any

import msgspec

from agents.runtime.context.input_parts import full_output
from agents.schema.json_types import Json

NO_RESULT = "[The result is not in this history.]"
BY_CLIENT = {
    "local_shell_call": ("local_shell", "action"),
    "shell_call": ("shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
}
"""Calls that the client executed, whose output is an item of its own: name and argument member."""
OUTPUTS = frozenset(
    {
        *("custom_tool_call_output", "local_shell_call_output", "shell_call_output"),
        "apply_patch_call_output",
    }
)
BY_SERVER = {
    "web_search_call": (("action", "queries"), ("results",)),
    "file_search_call": (("queries",), ("results",)),
    "code_interpreter_call": (("code",), ("outputs",)),
}
"""Calls that another service executed: the members with arguments, and those with the output."""
FOREIGN_CALLS = frozenset({"custom_tool_call", *BY_CLIENT, *OUTPUTS, *BY_SERVER})


def as_own_call(given: Json) -> Json:
    """Return the item as one of the platform's own types, still without an id."""
    kind = given["type"]
    if kind in OUTPUTS:
        return output_of(given)
    if kind in BY_SERVER:
        return finished_call(given)
    name, member = BY_CLIENT.get(kind, ("", "input"))
    value = given.get(member)
    arguments = value if isinstance(value, dict) else {member: value}
    return drop_absent(
        {
            "type": "function_call",
            "call_id": given.get("call_id") or given.get("id"),
            "name": name or given.get("name"),
            "arguments": as_text(arguments),
        }
    )


def output_of(given: Json) -> Json:
    output = given.get("output", given.get("status", ""))
    return drop_absent(
        {
            "type": "function_call_output",
            "call_id": given.get("call_id") or given.get("id"),
            "output": full_output(output, place="output"),
        }
    )


def finished_call(given: Json) -> Json:
    argument_members, output_members = BY_SERVER[given["type"]]
    arguments = {name: given[name] for name in argument_members if name in given}
    results = [given[name] for name in output_members if name in given]
    return {
        "type": "mcp_call",
        "name": given["type"].removesuffix("_call"),
        "arguments": as_text(arguments),
        "server_label": "",
        "output": as_text(results[0]) if results else NO_RESULT,
    }


def as_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def drop_absent(json: Json) -> Json:
    return {name: value for name, value in json.items() if value is not None}
