"""What SDKs send back as input: each item type is read, or refused by its name; null is absent."""

import base64

import pytest

from agents.runtime.context.input_items import ItemReference, ensure_calls, read_input, read_items
from agents.runtime.loop.chat_messages import chat_messages
from agents.schema.items import (
    FunctionCall,
    FunctionCallOutput,
    InputImage,
    InputText,
    McpCall,
    Reasoning,
    client_json,
    kind_of,
)
from kernel.errors import InvalidParameter

IMAGE = "data:image/png;base64,iVBORw0KGgo="


def read(item):
    (found,) = read_input([item])
    return found


def seen(*items):
    """What a model reads of them."""
    messages = chat_messages(read_input(list(items)))
    return [(message.role, message.content) for message in messages]


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": [{"type": "input_text", "text": "x", "annotations": None}]},
        {
            "type": "message",
            "id": None,
            "role": "assistant",
            "status": None,
            "phase": None,
            "content": [
                {"type": "output_text", "text": "x", "annotations": None, "logprobs": None}
            ],
        },
        {"role": "user", "content": [{"type": "input_image", "image_url": IMAGE, "detail": None}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": None},
        {"type": "function_call_output", "call_id": "c", "output": "x", "status": None},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None, "status": None},
        {"type": "reasoning", "summary": None, "encrypted_content": None},
        {
            "type": "mcp_approval_response",
            "approval_request_id": "a",
            "approve": True,
            "reason": None,
        },
        {"type": None, "role": "user", "content": "x"},
    ],
)
def test_null_is_absent_at_every_level(item):
    assert client_json(read(item))["type"] == (item.get("type") or "message")


def test_reasoning_is_taken_and_no_model_is_sent_it():
    thought = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "short"}],
        "content": [{"type": "reasoning_text", "text": "long"}],
        "encrypted_content": "abc",
    }

    item = read(thought)

    assert isinstance(item, Reasoning)
    assert (item.text, item.encrypted_content) == ("long", "abc")
    assert seen(thought, {"role": "user", "content": "x"}) == [("user", "x")]


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "reasoning", "content": 3}, "input[0].content"),
        ({"type": "reasoning", "summary": "short"}, "input[0].summary"),
        ({"role": "user", "content": [{"type": ["x"], "text": "x"}]}, "input[0].content[0].type"),
    ],
)
def test_members_of_another_type_are_refused(item, param):
    with pytest.raises(InvalidParameter) as refusal:
        read_input([item])
    assert refusal.value.param == param


def test_an_output_of_any_json_is_a_text_of_it():
    (found,) = read_input(
        [{"type": "function_call_output", "call_id": "c", "output": [{"type": ["x"]}]}]
    )
    assert found.text == '[{"type":["x"]}]'


def test_a_refusal_is_what_the_model_said():
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}
    assert seen(refusal) == [("assistant", "I cannot.")]


def test_texts_of_a_result_are_one_text():
    output = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    (message,) = chat_messages(
        [read({"type": "function_call_output", "call_id": "c", "output": output})]
    )
    assert (message.role, message.content, message.tool_call_id) == ("tool", "a\nb", "c")


def test_an_image_of_a_result_is_a_part_for_the_model():
    output = [
        {"type": "input_text", "text": "here"},
        {"type": "input_image", "image_url": IMAGE, "detail": "original"},
    ]
    item = read({"type": "function_call_output", "call_id": "c", "output": output})

    assert item.output == (InputText(text="here"), InputImage(image_url=IMAGE, detail="original"))
    (message,) = chat_messages([item])
    text, image = message.content
    assert text.text == "here"
    assert (image.image_url.url, image.image_url.detail) == (IMAGE, "high")


@pytest.mark.parametrize("output", [{"a": 1}, ["x"], 7, [{"type": "mine"}], []])
def test_any_other_result_is_the_text_of_its_json(output):
    item = read({"type": "function_call_output", "call_id": "c", "output": output})
    assert isinstance(item.output, str)


def test_an_image_in_a_result_must_be_inline_too():
    output = [{"type": "input_image", "image_url": "https://example.org/x.png"}]
    with pytest.raises(InvalidParameter, match="inline"):
        read({"type": "function_call_output", "call_id": "c", "output": output})


def test_calls_of_an_agent_come_back_as_what_they_were():
    call = {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "calc",
        "arguments": "{}",
        "server_label": "helper",
        "output": "42",
        "error": None,
        "status": "completed",
        "approval_request_id": None,
    }
    item = read(call)

    assert isinstance(item, McpCall)
    assert client_json(item) == {**call, "id": item.id}
    asked, answered = chat_messages([item])
    assert asked.tool_calls[0].function.name == "calc"
    assert (answered.content, answered.tool_call_id) == ("42", asked.tool_calls[0].id)


@pytest.mark.parametrize(
    "error",
    [
        "no such order",
        {
            "type": "mcp_tool_execution_error",
            "content": [{"type": "text", "text": "no such order"}],
        },
        {"type": "http_error", "code": 404, "message": "no such order"},
    ],
)
def test_a_failed_call_comes_back_with_its_reason(error):
    item = read(
        {"type": "mcp_call", "name": "f", "arguments": "{}", "server_label": "s", "error": error}
    )
    assert (item.error, item.status) == ("no such order", "failed")
    assert chat_messages([item])[1].content == "Error: no such order"


def test_approvals_come_back_under_either_name():
    request = read(
        {
            "type": "mcp_approval_request",
            "id": "apr_1",
            "name": "f",
            "arguments": "{}",
            "server_label": "s",
        }
    )
    answers = [
        read({"type": kind, "approval_request_id": "apr_1", "approve": False, "reason": "dear"})
        for kind in ("mcp_approval_response", "tenantry:approval_response")
    ]

    assert client_json(request)["type"] == "mcp_approval_request"
    assert [client_json(each)["type"] for each in answers] == ["mcp_approval_response"] * 2
    assert chat_messages([request, *answers]) == []


@pytest.mark.parametrize(
    ("call", "output", "name", "told"),
    [
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "a"},
            {"type": "custom_tool_call_output", "call_id": "c", "output": "done"},
            "patch",
            '{"input":"a"}',
        ),
        (
            {"type": "local_shell_call", "id": "i", "call_id": "c", "action": {"command": ["ls"]}},
            {"type": "local_shell_call_output", "id": "c", "output": "done"},
            "local_shell",
            '{"command":["ls"]}',
        ),
        (
            {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}},
            {"type": "shell_call_output", "call_id": "c", "output": "done"},
            "shell",
            '{"commands":["ls"]}',
        ),
        (
            {"type": "apply_patch_call", "call_id": "c", "operation": {"type": "delete_file"}},
            {
                "type": "apply_patch_call_output",
                "call_id": "c",
                "status": "completed",
                "output": "done",
            },
            "apply_patch",
            '{"type":"delete_file"}',
        ),
    ],
)
def test_calls_of_other_kinds_are_calls_that_any_model_reads(call, output, name, told):
    asked, answered = chat_messages(read_input([call, output]))

    (made,) = asked.tool_calls
    assert (made.id, made.function.name, made.function.arguments) == ("c", name, told)
    assert (answered.tool_call_id, answered.content) == ("c", "done")


def test_a_search_of_another_service_is_a_call_that_has_ended():
    search = {
        "type": "web_search_call",
        "id": "ws_1",
        "status": "completed",
        "action": {"query": "x"},
    }
    asked, answered = chat_messages(read_input([search]))
    assert asked.tool_calls[0].function.name == "web_search"
    assert answered.content == "[The result is not in this history.]"


@pytest.mark.parametrize(
    "kind", ["compaction", "computer_call", "image_generation_call", "program", "made_up"]
)
def test_what_no_model_here_reads_is_refused_by_its_name(kind):
    with pytest.raises(InvalidParameter, match=f"`{kind}`") as refusal:
        read_input([{"role": "user", "content": "x"}, {"type": kind, "id": "x"}])
    assert refusal.value.param == "input[1].type"


@pytest.mark.parametrize("kind", ["input_video", "made_up"])
def test_parts_that_no_model_here_reads_are_refused_by_their_name(kind):
    with pytest.raises(InvalidParameter, match=f"`{kind}`") as refusal:
        read({"role": "user", "content": [{"type": kind}]})
    assert refusal.value.param == "input[0].content[0].type"


def test_audio_is_a_part_for_the_model():
    part = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    (message,) = chat_messages(read_input([{"role": "user", "content": [part]}]))
    (heard,) = message.content
    assert (heard.input_audio.data, heard.input_audio.format) == ("UklGRg==", "wav")


def encoded(text, kind="text/plain"):
    return f"data:{kind};base64,{base64.b64encode(text).decode()}"


def test_a_file_of_text_is_text():
    part = {"type": "input_file", "filename": "a.csv", "file_data": encoded(b"x,y", "text/csv")}
    assert seen({"role": "user", "content": [part]}) == [("user", "a.csv:\nx,y")]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"file_data": encoded(b"%PDF", "application/pdf")}, "file_data"),
        ({"file_data": encoded(b"\xff\xfe")}, "file_data"),
        ({"file_data": "data:text/plain;base64,!!"}, "file_data"),
        ({"file_id": "file_1"}, "file_id"),
        ({"file_url": "https://example.org/a.txt"}, "file_url"),
    ],
)
def test_any_other_file_is_refused_with_its_place(part, param):
    with pytest.raises(InvalidParameter) as refusal:
        read({"role": "user", "content": [{"type": "input_file", **part}]})
    assert refusal.value.param == f"input[0].content[0].{param}"


def test_an_image_that_is_a_file_elsewhere_is_refused():
    with pytest.raises(InvalidParameter, match="inline"):
        read({"role": "user", "content": [{"type": "input_image", "file_id": "file_1"}]})


@pytest.mark.parametrize("item", [{"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}])
def test_a_reference_stands_for_an_item(item):
    assert read(item) == ItemReference(id="msg_1", place="input[0]")


def test_a_reference_is_no_item_of_a_conversation():
    with pytest.raises(InvalidParameter):
        read_items([{"type": "item_reference", "id": "msg_1"}], name="items")


CALL = FunctionCall(id="fc_1", call_id="c", name="f", arguments="{}")
OUTPUT = FunctionCallOutput(id="fco_1", call_id="c", output="x")


@pytest.mark.parametrize(("history", "brought"), [((CALL,), (OUTPUT,)), ((), (CALL, OUTPUT))])
def test_a_result_follows_its_call(history, brought):
    ensure_calls(history, brought)


@pytest.mark.parametrize("brought", [(OUTPUT,), (OUTPUT, CALL)])
def test_a_result_without_its_call_is_refused(brought):
    with pytest.raises(InvalidParameter, match="There is no call before"):
        ensure_calls((), brought)


def test_lists_of_tools_are_of_the_past():
    listed = {"type": "mcp_list_tools", "server_label": "s", "tools": []}
    assert list(map(kind_of, read_input([listed, {"role": "user", "content": "x"}]))) == ["message"]
