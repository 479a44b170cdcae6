"""A run told as Open Responses: in order, numbered, with exactly one end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.events.responses import ResponseEvents
from agents.schema.items import (
    ApprovalRequest,
    ApprovalResponse,
    FunctionCall,
    FunctionCallOutput,
    Message,
    OutputText,
    Reasoning,
    ReasoningText,
    Refusal,
    client_json,
    kind_of,
)
from agents.schema.loop_events import (
    ArgumentsDelta,
    ItemDone,
    ItemStarted,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolStarted,
)
from agents.schema.run_settings import RunSettings
from agents.schema.stored_items import client_view
from inference.errors import UpstreamBroken
from tenants.admission.usage.records import Usage

USAGE = Usage(prompt_tokens=3, completion_tokens=2, cached_tokens=1)
TERMINAL = {"response.completed", "response.incomplete", "response.failed"}
REQUIRED = {
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model"),
    *("previous_response_id", "instructions", "output", "error", "tools", "tool_choice"),
    *("truncation", "parallel_tool_calls", "text", "top_p", "presence_penalty"),
    *("frequency_penalty", "top_logprobs", "temperature", "reasoning", "usage"),
    *("max_output_tokens", "max_tool_calls", "store", "background", "service_tier", "metadata"),
    *("safety_identifier", "prompt_cache_key"),
}
"""Of the response object (Open Responses 2026-04-24)."""
ENDS = {
    "completed": lambda events: events.completed(USAGE, now=20),
    "incomplete": lambda events: events.incomplete(USAGE, reason="max_output_tokens", now=20),
    "cancelled": lambda events: events.incomplete(USAGE, reason="cancelled", now=20),
    "failed": lambda events: events.failed(UpstreamBroken(), now=20),
}


MESSAGE = Message(id="msg_1", role="assistant", content=())


def run(texts=("a", "b"), *, end="completed", **settings):
    """The frames of a whole run."""
    events = ResponseEvents(RunSettings(response_id="resp_1", model="m", created_at=10, **settings))
    frames = events.created()
    if texts:
        frames += events.frames_of(ItemStarted(item=MESSAGE))
    for text in texts:
        frames += events.frames_of(TextDelta(item_id="msg_1", text=text))
    if texts and end in {"completed", "incomplete"}:
        status = {"completed": "completed"}.get(end, "incomplete")
        content = (OutputText(text="".join(texts)),)
        item = Message(id="msg_1", role="assistant", content=content, status=status)
        frames += events.frames_of(ItemDone(item=item))
    return frames + ENDS[end](events)


def test_a_call_is_told_like_a_message():
    events = ResponseEvents(RunSettings(response_id="resp_1", model="m", created_at=10))
    call = FunctionCall(id="fc_1", call_id="c", name="f", arguments="{}")

    frames = events.frames_of(ItemStarted(item=call))
    frames += events.frames_of(ArgumentsDelta(item_id="fc_1", arguments="{}"))
    frames += events.frames_of(ItemDone(item=call))

    assert kinds(frames) == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert {frame["output_index"] for frame in frames} == {0}
    assert events.output() == (call,)


def kinds(frames):
    return [frame["type"].removeprefix("response.") for frame in frames]


def test_the_order_of_events_is_the_specifications():
    assert kinds(run()) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


@pytest.mark.parametrize("end", ["completed", "incomplete", "cancelled"])
def test_a_run_without_a_word_opens_no_message(end):
    frames = run([], end=end)

    assert len(frames) == 3
    assert frames[-1]["response"]["output"] == []


@given(st.lists(st.text(min_size=1), max_size=8), st.sampled_from(list(ENDS)))
def test_events_are_numbered_without_a_gap_and_end_once(texts, end):
    frames = run(texts, end=end)

    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert [frame["type"] in TERMINAL for frame in frames] == [False] * (len(frames) - 1) + [True]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8))
def test_the_deltas_are_the_text(texts):
    frames = run(texts)

    deltas = [frame["delta"] for frame in frames if frame["type"].endswith("text.delta")]
    done = next(frame for frame in frames if frame["type"].endswith("text.done"))
    (item,) = frames[-1]["response"]["output"]
    assert deltas == texts
    assert done["text"] == item["content"][0]["text"] == "".join(texts)


@pytest.mark.parametrize("end", ENDS)
def test_every_response_object_has_what_is_required(end):
    responses = [frame["response"] for frame in run(end=end) if "response" in frame]

    assert len(responses) == 3
    for response in responses:
        assert response.keys() >= REQUIRED
        assert (response["id"], response["object"]) == ("resp_1", "response")


STATUSES = {
    "completed": ("completed", "completed", None),
    "incomplete": ("incomplete", "incomplete", {"reason": "max_output_tokens"}),
    "cancelled": ("cancelled", "incomplete", None),
    "failed": ("failed", "incomplete", None),
}


@pytest.mark.parametrize("end", STATUSES)
def test_the_end_says_how_it_came(end):
    status, item_status, details = STATUSES[end]

    response = run(end=end)[-1]["response"]

    assert (response["status"], response["incomplete_details"]) == (status, details)
    assert [item["status"] for item in response["output"]] == [item_status]
    assert (response["created_at"], response["completed_at"]) == (10, 20)


def test_a_failure_says_why():
    response = run(end="failed")[-1]["response"]

    assert response["error"] == {
        "code": "server_error",
        "message": UpstreamBroken().message,
        "type": "server_error",
        "param": None,
        "reason": "upstream_broken",
    }
    assert response["usage"] is None


def test_usage_is_told_at_the_end_only():
    first, last = run()[0], run()[-1]

    assert first["response"]["usage"] is None
    assert last["response"]["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 5,
    }


def test_events_of_one_message_name_it():
    inner = [frame for frame in run() if "content_index" in frame]

    assert len(inner) == 5
    assert {(f["item_id"], f["output_index"], f["content_index"]) for f in inner} == {
        ("msg_1", 0, 0)
    }


@pytest.mark.parametrize(("lane", "expected"), [(None, {None}), ("lane", {"lane"}), ("", {""})])
def test_every_frame_is_in_its_lane(lane, expected):
    assert {frame.get("stream_id") for frame in run(stream_id=lane)} == expected


def test_a_response_echoes_its_request():
    asked = {"instructions": "Be brief.", "temperature": 0.0, "top_p": 0.5, "metadata": {"a": 1}}

    response = run(**asked, max_output_tokens=7)[-1]["response"]

    assert {name: response[name] for name in asked} == asked
    assert response["max_output_tokens"] == 7


def test_what_was_not_asked_has_its_default():
    response = run()[-1]["response"]

    assert (response["temperature"], response["top_p"], response["metadata"]) == (1.0, 1.0, {})


def events_of(**settings):
    return ResponseEvents(RunSettings(response_id="resp_1", model="m", created_at=10, **settings))


def told(events, *facts):
    return [frame for fact in facts for frame in events.frames_of(fact)]


def call(name, *, label="desk"):
    return FunctionCall(
        id=f"mcp_{name}", call_id=name, name=name, arguments="{}", server_label=label
    )


def result(name, text="42", *, is_error=False):
    return FunctionCallOutput(id=f"fco_{name}", call_id=name, output=text, is_error=is_error)


def started(name):
    return ToolStarted(call_id=name, name=name, kind="builtin")


def test_reasoning_is_an_item_before_the_message():
    events = events_of()
    thought = Reasoning(id="rs_1", content=(ReasoningText(text="Hm."),))

    frames = told(
        events,
        ItemStarted(item=Reasoning(id="rs_1", status="in_progress")),
        ReasoningDelta(item_id="rs_1", text="Hm."),
        ItemDone(item=thought),
    )

    assert kinds(frames) == [
        *("output_item.added", "content_part.added", "reasoning_text.delta"),
        *("reasoning_text.done", "content_part.done", "output_item.done"),
    ]
    (item,) = events.completed(USAGE, now=20)[-1]["response"]["output"]
    assert list(item["content"]) == [{"type": "reasoning_text", "text": "Hm."}]
    assert (list(item["summary"]), item["encrypted_content"]) == ([], None)


def test_a_refusal_is_a_part_of_its_own():
    events = events_of()
    content = (OutputText(text="Well, "), Refusal(refusal="no."))

    frames = told(
        events,
        ItemStarted(item=MESSAGE),
        TextDelta(item_id="msg_1", text="Well, "),
        RefusalDelta(item_id="msg_1", text="no."),
        ItemDone(item=Message(id="msg_1", role="assistant", content=content)),
    )

    assert kinds(frames) == [
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.done"),
        *("content_part.done", "content_part.added", "refusal.delta", "refusal.done"),
        *("content_part.done", "output_item.done"),
    ]
    assert [f["content_index"] for f in frames if "content_index" in f] == [0] * 4 + [1] * 4
    assert frames[-3] | {"sequence_number": 0} == {
        "type": "response.refusal.done",
        "sequence_number": 0,
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 1,
        "refusal": "no.",
    }


def test_a_message_that_is_cut_keeps_both_of_its_parts():
    events = events_of()
    told(events, ItemStarted(item=MESSAGE), TextDelta(item_id="msg_1", text="Well, "))
    told(events, RefusalDelta(item_id="msg_1", text="n"))

    (item,) = events.incomplete(USAGE, reason="cancelled", now=20)[-1]["response"]["output"]

    assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]
    assert item["status"] == "incomplete"


def test_calls_of_the_agent_are_calls_of_a_server():
    events = events_of()
    first, second = call("a"), call("b")

    frames = told(
        events,
        ItemStarted(item=first),
        ItemDone(item=first),
        ItemDone(item=second),
        started("a"),
        started("b"),
        ItemDone(item=result("a")),
        ItemDone(item=result("b", "Error: no.", is_error=True)),
    )

    assert kinds(frames) == [
        *["output_item.added", "mcp_call.in_progress"],
        *["mcp_call_arguments.delta", "mcp_call_arguments.done"],
        *["output_item.added", "mcp_call.in_progress"],
        *["mcp_call_arguments.delta", "mcp_call_arguments.done"],
        *["mcp_call.completed", "output_item.done", "mcp_call.failed", "output_item.done"],
    ]
    assert [frame["output_index"] for frame in frames] == [0] * 4 + [1] * 4 + [0, 0, 1, 1]
    shown = events.completed(USAGE, now=20)[-1]["response"]["output"]
    assert [(item["type"], item["status"]) for item in shown] == [
        ("mcp_call", "completed"),
        ("mcp_call", "failed"),
    ]
    assert (shown[0]["output"], shown[0]["error"]) == ("42", None)
    assert shown[1]["error"]["content"] == [{"type": "text", "text": "no."}]
    assert not {"call_id", "is_error"} & {*shown[0]}


def test_a_call_that_is_wrong_stands_before_later_ones_that_were_started():
    events = events_of()
    told(events, *[ItemDone(item=call(name)) for name in "abc"], started("a"), started("c"))
    told(events, *[ItemDone(item=result(name)) for name in "abc"])

    shown = events.completed(USAGE, now=20)[-1]["response"]["output"]

    assert [item["name"] for item in shown] == ["a", "b", "c"]
    assert [item.name for item in client_view(events.output())] == ["a", "b", "c"]


def test_a_call_that_waits_for_a_person_is_shown_when_it_is_made():
    events = events_of()
    pay = call("pay")
    request = ApprovalRequest(
        id="apr_1", call_id="pay", name="pay", arguments="{}", server_label="desk"
    )

    told(events, ItemDone(item=pay), ItemDone(item=call("a")), ItemDone(item=request))
    told(events, started("a"), ItemDone(item=result("a")))
    paused = events.paused(USAGE)[-1]["response"]["output"]
    again = ResponseEvents(
        RunSettings(response_id="resp_1", model="m", created_at=10),
        number=events.number,
        done=events.output(),
    )
    yes = ApprovalResponse(id="apa_1", approval_request_id="apr_1", approve=True)
    frames = told(again, ItemDone(item=yes), started("pay"), ItemDone(item=result("pay")))

    assert [item["type"] for item in paused] == ["mcp_approval_request", "mcp_call"]
    assert paused[0] == {
        "type": "mcp_approval_request",
        "id": "apr_1",
        "name": "pay",
        "arguments": "{}",
        "server_label": "desk",
    }
    done = frames[-1]
    assert (done["output_index"], done["item"]["approval_request_id"]) == (3, "apr_1")


def test_a_call_that_was_cut_says_so_in_the_stream_and_in_the_table():
    events = events_of()
    told(events, ItemDone(item=call("a")), started("a"))

    frames = events.incomplete(USAGE, reason="cancelled", now=20)

    assert kinds(frames) == ["mcp_call.failed", "output_item.done", "incomplete"]
    (kept,) = client_view(events.output())
    assert client_json(kept) == frames[-1]["response"]["output"][0]
    assert kept.error == "The run was stopped before the tool had answered."


def test_calls_of_earlier_versions_are_shown_as_the_agents():
    old = [call("a", label=""), result("a", is_error=None), call("b", label="")]

    shown = client_view(old)

    assert [(item.name, kind_of(item)) for item in shown] == [
        ("a", "mcp_call"),
        ("b", "function_call"),
    ]


def test_a_call_of_the_client_stays_its_own_though_a_note_answers_it():
    noted = [call("a", label=""), result("a", "Error: Stopped.", is_error=True)]

    assert list(map(kind_of, client_view(noted))) == ["function_call", "function_call_output"]


@given(st.permutations("abc"), st.sets(st.sampled_from("abc")))
def test_stream_and_table_agree_on_the_order_of_calls(names, made):
    events = events_of()
    told(events, *[ItemDone(item=call(name)) for name in names])
    told(events, *[started(name) for name in names if name in made])
    told(events, *[ItemDone(item=result(name)) for name in names])

    shown = events.completed(USAGE, now=20)[-1]["response"]["output"]

    assert shown == [client_json(item) for item in client_view(events.output())]


def test_what_is_rebuilt_of_a_call_is_what_was_streamed():
    events, again = events_of(), events_of()
    frames = told(events, ItemDone(item=call("a")), started("a"), ItemDone(item=result("a")))

    rebuilt = [frame for item in client_view(events.output()) for frame in again.whole(item)]

    assert rebuilt == frames
