"""Calls that other services have items for, as calls that any model reads. Pure.

Clients bring them in histories that were begun elsewhere: custom tools, shells, searches.
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
"""What the client executed; its result is an item of its own. Name, and the argument's member."""
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
"""What another service executed: the members with its arguments, and with its result."""
FOREIGN_CALLS = frozenset({"custom_tool_call", *BY_CLIENT, *OUTPUTS, *BY_SERVER})


def as_own_call(given: Json) -> Json:
    """The item as `function_call`, `function_call_output` or `mcp_call`, still without an id."""
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
    asked, gave = BY_SERVER[given["type"]]
    arguments = {name: given[name] for name in asked if name in given}
    results = [given[name] for name in gave if name in given]
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
