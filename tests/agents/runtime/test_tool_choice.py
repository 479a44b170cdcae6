"""Which tools a model may call: what the agent has, what the client brings, what it narrows to."""

import pytest

from agents.runtime.tool_choice import offer_tools
from inference.relay.parameters import FunctionTool, Tool
from kernel.errors import InvalidParameter


def tools(*names):
    return [Tool(function=FunctionTool(name=name)) for name in names]


def offered(choice, ours=("a", "b"), theirs=("c",)):
    offer = offer_tools(tools(*ours), tools(*theirs), choice)
    return [tool.function.name for tool in offer.tools], offer.choice, set(offer.client_tools)


ONE = {"type": "function", "function": {"name": "b"}}


@pytest.mark.parametrize(
    ("choice", "names", "told"),
    [
        (None, ["a", "b", "c"], None),
        ("auto", ["a", "b", "c"], "auto"),
        ("none", ["a", "b", "c"], "none"),
        ("required", ["a", "b", "c"], "required"),
        ({"type": "function", "name": "b"}, ["a", "b", "c"], ONE),
        (ONE, ["a", "b", "c"], ONE),
        ({"type": "allowed_tools", "tools": [{"name": "a"}]}, ["a"], "auto"),
        (
            {"type": "allowed_tools", "tools": [{"name": "b"}], "mode": "required"},
            ["b"],
            "required",
        ),
        ({"type": "allowed_tools", "tools": []}, [], "auto"),
    ],
)
def test_a_choice_is_told_to_engines_in_their_words(choice, names, told):
    assert offered(choice)[:2] == (names, told)


def test_functions_of_the_client_are_known_by_name():
    assert offered(None)[2] == {"c"}
    assert offered({"type": "allowed_tools", "tools": [{"name": "a"}]})[2] == set()


def test_without_tools_there_is_nothing_to_choose():
    assert offered("auto", ours=(), theirs=()) == ([], None, set())


@pytest.mark.parametrize(
    "choice",
    [
        *("all", "", {"type": "function"}, {"type": "function", "name": "x"}),
        *({"type": "mcp"}, {"type": "allowed_tools"}, {"type": "allowed_tools", "tools": "a"}),
        {"type": "allowed_tools", "tools": [{"name": "x"}]},
        {"type": "allowed_tools", "tools": ["a"]},
        {"type": "allowed_tools", "tools": [{"name": "a"}], "mode": "always"},
        {"type": "allowed_tools", "tools": [{"name": "a"}], "mode": []},
    ],
)
def test_a_choice_of_what_is_not_there_is_refused(choice):
    with pytest.raises(InvalidParameter):
        offered(choice)


def test_a_name_is_taken_once():
    with pytest.raises(InvalidParameter, match="two tools named 'a'"):
        offered(None, theirs=("a",))


def test_what_must_be_called_must_be_there():
    with pytest.raises(InvalidParameter):
        offered("required", ours=(), theirs=())
