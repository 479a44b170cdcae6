"""Tools that clients bring: functions are in force, and the response says which."""

import pytest

from agents.doors.base.client_tools import echoed_format, echoed_tool, functions_of, read_tool
from kernel.errors import InvalidParameter


def test_tools_that_a_service_would_execute_are_not_in_force():
    tools = [
        {"type": "namespace", "name": "multi_agent_v1", "tools": []},
        {"type": "web_search"},
        {"type": "local_shell"},
        {"type": "custom", "name": "apply_patch"},
        {"type": "function", "name": "shell"},
    ]
    assert [tool["name"] for tool in functions_of(tools)] == ["shell"]


def test_a_function_in_the_form_of_chat_is_one():
    (tool,) = functions_of([{"type": "function", "function": {"name": "f", "strict": True}}])
    assert tool == {"type": "function", "name": "f", "strict": True}


def test_null_is_absent_and_the_response_says_null():
    given = {"type": "function", "name": "f", "description": None, "parameters": None}
    read_tool(given, place=0)
    assert echoed_tool({"type": "function", "name": "f"}) == {**given, "strict": None}


def test_what_is_wrong_with_a_tool_is_told_with_its_place():
    with pytest.raises(InvalidParameter) as refusal:
        read_tool({"type": "function", "name": "f", "parameters": 1}, place=3)
    assert refusal.value.param == "tools[3].parameters"
    with pytest.raises(InvalidParameter):
        functions_of([{"name": "f"}])


def test_a_format_says_what_was_not_said():
    given = {"type": "json_schema", "name": "n", "schema": {}}
    assert echoed_format(given) == {**given, "description": None, "strict": None}
    assert echoed_format({"type": "text"}) == {"type": "text"}
