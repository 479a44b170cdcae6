"""What an engine is told of calls that nobody answered: each has an output, at its place."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agents.runtime.context.answered_items import LEFT_OPEN, answered_items
from agents.runtime.loop.chat_messages import chat_messages
from agents.schema.items import (
    FunctionCall,
    FunctionCallOutput,
    McpCall,
    Reasoning,
    ReasoningText,
    user_message,
)


def call(name):
    return FunctionCall(id=f"fc_{name}", call_id=name, name="f", arguments="{}")


def output(name, text="done"):
    return FunctionCallOutput(id=f"fco_{name}", call_id=name, output=text)


def executed(name):
    return McpCall(id=f"mcp_{name}", name="g", arguments="{}", server_label="x", output="done")


def thought(name):
    return Reasoning(id=f"rs_{name}", content=(ReasoningText(text=name),))


def shape(*items):
    """What the engine reads: the calls of an assistant, the id and text of an output, a role."""
    told = []
    for message in chat_messages(answered_items(items)):
        if isinstance(message.tool_calls, list):
            told.append([each.id for each in message.tool_calls])
        elif message.role == "tool":
            told.append((message.tool_call_id, message.content))
        else:
            told.append(message.content)
    return told


HI = user_message("hi")
NEVER_MIND = user_message("never mind")


def test_a_call_that_was_left_open_gets_a_note_when_something_else_is_said():
    assert shape(HI, call("a"), NEVER_MIND) == ["hi", ["a"], ("a", LEFT_OPEN), "never mind"]


def test_of_two_parallel_calls_the_one_without_an_output_gets_it():
    items = (HI, call("a"), call("b"), output("a"))

    assert shape(*items) == ["hi", ["a", "b"], ("a", "done"), ("b", LEFT_OPEN)]
    assert shape(*items, NEVER_MIND) == [*shape(*items), "never mind"]


def test_an_output_that_comes_late_comes_behind_its_call():
    told = shape(HI, call("a"), NEVER_MIND, output("a"))

    assert told == ["hi", ["a"], ("a", LEFT_OPEN), "never mind", ["a"], ("a", "done")]


def test_outputs_in_another_order_are_left_where_they_are():
    assert shape(call("a"), call("b"), output("b"), output("a")) == [
        ["a", "b"],
        ("b", "done"),
        ("a", "done"),
    ]


def test_an_output_without_a_call_and_a_second_one_are_left_out():
    assert shape(output("x"), call("a"), output("a"), output("a", "again")) == [
        ["a"],
        ("a", "done"),
    ]


def test_calls_that_the_agent_executed_come_before_those_of_the_same_answer_that_are_open():
    assert shape(HI, call("a"), executed("b"), executed("c"), output("a")) == [
        "hi",
        ["mcp_b"],
        ("mcp_b", "done"),
        ["mcp_c"],
        ("mcp_c", "done"),
        ["a"],
        ("a", "done"),
    ]


def test_what_the_model_thinks_after_an_output_begins_its_next_answer():
    told = shape(call("a"), call("b"), output("a"), thought("x"), call("c"), output("c"))

    assert told == [["a", "b"], ("a", "done"), ("b", LEFT_OPEN), ["c"], ("c", "done")]


def test_what_is_answered_stays_as_it_is():
    items = [HI, call("a"), call("b"), output("a"), output("b"), NEVER_MIND]

    assert answered_items(items) == items


@given(st.lists(st.tuples(st.sampled_from("coumr"), st.sampled_from("abc")), max_size=12))
def test_no_engine_has_a_reason_to_refuse(said):
    make = {"c": call, "o": output, "u": user_message, "m": executed, "r": thought}
    told = shape(*(make[kind](name) for kind, name in said))

    open_ids: set[str] = set()
    for each in told:
        if isinstance(each, tuple):
            assert each[0] in open_ids
            open_ids.discard(each[0])
        else:
            assert not open_ids
            open_ids = set(each) if isinstance(each, list) else set()
    assert not open_ids
    assert all(not (isinstance(a, list) and isinstance(b, list)) for a, b in pairwise(told))
