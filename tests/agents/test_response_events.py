"""A run told as Open Responses: in order, numbered, with exactly one end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.events.responses import ResponseEvents
from agents.events.run_settings import RunSettings
from agents.runtime.items import FunctionCall, Message, OutputText
from agents.runtime.ports import ArgumentsDelta, ItemDone, ItemStarted, TextDelta
from inference.errors import UpstreamBroken
from tenants.admission.usage import Usage

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
        frames += events.told(ItemStarted(item=MESSAGE))
    for text in texts:
        frames += events.told(TextDelta(item_id="msg_1", text=text))
    if texts and end in {"completed", "incomplete"}:
        status = {"completed": "completed"}.get(end, "incomplete")
        content = (OutputText(text="".join(texts)),)
        item = Message(id="msg_1", role="assistant", content=content, status=status)
        frames += events.told(ItemDone(item=item))
    return frames + ENDS[end](events)


def test_a_call_is_told_like_a_message():
    events = ResponseEvents(RunSettings(response_id="resp_1", model="m", created_at=10))
    call = FunctionCall(id="fc_1", call_id="c", name="f", arguments="{}")

    frames = events.told(ItemStarted(item=call))
    frames += events.told(ArgumentsDelta(item_id="fc_1", arguments="{}"))
    frames += events.told(ItemDone(item=call))

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
    "cancelled": ("cancelled", "incomplete", {"reason": "cancelled"}),
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

    assert response["error"] == {"code": "upstream_broken", "message": UpstreamBroken().message}
    assert response["usage"] is None


def test_usage_is_told_at_the_end_only():
    first, last = run()[0], run()[-1]

    assert first["response"]["usage"] is None
    assert last["response"]["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 1},
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
