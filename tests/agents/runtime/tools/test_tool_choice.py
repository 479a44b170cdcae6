"""Which tools a model may call: what the agent has, what the client brings, what it narrows to."""

import pytest

from agents.runtime.tools.tool_choice import offer_tools, with_allowed_tools
from inference.relay.schema import ChatRequest, FunctionTool, ToolDefinition
from kernel.errors import InvalidParameter


def tools(*names):
    return [ToolDefinition(function=FunctionTool(name=name)) for name in names]


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
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "a"}]}, ["a"], "auto"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [ONE]}},
            ["b"],
            "required",
        ),
        (
            {"type": "allowed_tools", "mode": None, "tools": [{"type": "mcp", "name": "a"}]},
            ["a"],
            "auto",
        ),
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


def test_what_is_required_must_be_there():
    with pytest.raises(InvalidParameter):
        offered({"type": "allowed_tools", "tools": [], "mode": "required"})


@pytest.mark.parametrize("form", ["responses", "chat"])
def test_a_chat_request_is_narrowed_to_the_tools_that_are_allowed(form):
    listed = [{"type": "function", "function": {"name": "b"}}]
    inner = {"mode": "required", "tools": listed}
    choice = {
        "type": "allowed_tools",
        **(inner if form == "responses" else {"allowed_tools": inner}),
    }
    request = ChatRequest(model="m", messages=[], tools=tools("a", "b"), tool_choice=choice)

    narrowed = with_allowed_tools(request)

    assert [tool.function.name for tool in narrowed.tools] == ["b"]
    assert narrowed.tool_choice == "required"


def test_any_other_choice_of_a_chat_request_is_left_to_the_engine():
    request = ChatRequest(model="m", messages=[], tools=tools("a"), tool_choice=ONE)
    assert with_allowed_tools(request) is request
