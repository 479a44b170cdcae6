"""Items: what clients may write, what is stored, and what engines read."""

import msgspec
import pytest

from agents.models.choices import ItemKind
from agents.runtime.context.input_items import read_input
from agents.runtime.loop.chat_messages import chat_messages
from agents.schema.items import (
    PREFIXES,
    FunctionCall,
    FunctionCallOutput,
    Message,
    OutputText,
    item_json,
    kind_of,
    read_item,
)
from kernel.errors import InvalidParameter


def test_a_text_is_a_message_of_the_user():
    (message,) = read_input("hello")
    assert (message.role, message.text, message.id[:4]) == ("user", "hello", "msg_")


def test_a_message_needs_no_type_and_may_hold_a_text():
    first, second = read_input(
        [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    )
    assert [first.text, second.text] == ["one", "two"]
    assert isinstance(second.content[0], OutputText)


def test_ids_that_clients_send_are_not_kept():
    (message,) = read_input([{"id": "msg_mine", "role": "user", "content": "one"}])
    assert message.id != "msg_mine"


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "compaction"}, "input[0]"),
        ({"type": ["message"]}, "input[0]"),
        ({"role": "user"}, "input[0]"),
        ({"role": "nobody", "content": "x"}, "input[0]"),
        ({"type": "function_call", "name": "x"}, "input[0]"),
        ({"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}, "input"),
    ],
)
def test_what_is_no_item_is_refused_with_its_place(item, param):
    with pytest.raises(InvalidParameter) as refusal:
        read_input([item])
    assert refusal.value.param.startswith(param)


def test_no_items_and_too_many_are_refused():
    for value in ([], [{"role": "user", "content": "x"}] * 1001):
        with pytest.raises(InvalidParameter):
            read_input(value)


def test_what_is_written_is_read_again():
    for item in read_input(
        [
            {"role": "user", "content": [{"type": "text", "text": "look"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": {"a": 1}},
            {
                "type": "tenantry:approval_response",
                "approval_request_id": "apr_1",
                "approve": True,
            },
        ]
    ):
        assert read_item(msgspec.json.decode(msgspec.json.encode(item_json(item)))) == item


def test_every_kind_of_the_table_has_a_prefix():
    assert set(PREFIXES) == set(ItemKind.values)
    assert kind_of(FunctionCall(id="f", call_id="c", name="n", arguments="")) == "function_call"


def test_calls_of_one_turn_become_one_message_with_what_was_said_before():
    said = Message(id="m", role="assistant", content=(OutputText(text="let me look"),))
    calls = [FunctionCall(id=n, call_id=n, name="f", arguments="{}") for n in "ab"]
    results = [FunctionCallOutput(id=n, call_id=n, output=n) for n in "ab"]

    messages = chat_messages([said, *calls, *results])

    assert [message.role for message in messages] == ["assistant", "tool", "tool"]
    assert messages[0].content == "let me look"
    assert [call.id for call in messages[0].tool_calls] == ["a", "b"]
    assert [message.tool_call_id for message in messages[1:]] == ["a", "b"]
