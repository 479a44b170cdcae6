"""A transcript: who said what, with calls and results together, and bounded."""

from datetime import UTC, datetime

from agents.conversations.transcript import MAX_TEXT_CHARS, TranscriptItem, transcript_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def said(kind, **body):
    return TranscriptItem(kind=kind, public_id="x", run="", body=body, created_at=NOW)


def message(role, *parts):
    return said("message", role=role, content=list(parts))


def test_people_and_agents_are_told_apart():
    entries = transcript_of(
        [message(role, {"text": "hi"}) for role in ("user", "assistant", "developer")]
    )

    assert [entry.author for entry in entries] == ["User", "Agent", "Instructions"]


def test_a_result_goes_with_its_call():
    (entry,) = transcript_of(
        [
            said("function_call", call_id="c", name="pay", arguments='{"a":1}'),
            said("function_call_output", call_id="c", output="ok"),
        ]
    )

    assert (entry.heading, entry.result) == ("Tool call: pay", "ok")
    assert entry.text == '{\n  "a": 1\n}'


def test_an_id_that_is_used_twice_keeps_both_results():
    call = said("function_call", call_id="c", name="pay", arguments="{}")
    outputs = [said("function_call_output", call_id="c", output=text) for text in "12"]

    entries = transcript_of([call, outputs[0], call, outputs[1]])

    assert [entry.result for entry in entries] == ["1", "2"]


def test_a_result_without_its_call_stands_alone():
    (entry,) = transcript_of([said("function_call_output", call_id="c", output="ok")])

    assert (entry.heading, entry.text) == ("Tool result", "ok")


def test_arguments_that_are_no_json_are_shown_as_they_are():
    (entry,) = transcript_of([said("function_call", call_id="c", name="n", arguments="{broken")])

    assert entry.text == "{broken"


def test_a_picture_is_named():
    (entry,) = transcript_of([message("user", {"text": "see"}, {"type": "input_image"})])

    assert entry.text == "see\n[input_image]"


def test_a_page_opens_however_much_a_tool_answers():
    (entry,) = transcript_of([said("function_call_output", call_id="c", output="x" * 10**6)])

    assert len(entry.text) < MAX_TEXT_CHARS + 100


def test_what_only_we_say_is_shown_too():
    entries = transcript_of(
        [
            said("tenantry:summary", text="so far", through=3),
            said("tenantry:approval_request", call_id="c", name="pay", arguments="{}"),
        ]
    )

    assert entries[0].heading.startswith("Summary")
    assert entries[1].heading == "Approval request"


def test_a_call_that_the_agent_executed_is_one_entry_with_its_result():
    body = {"name": "calc", "arguments": '{"a": 1}', "output": "42", "error": None}
    failed = {**body, "output": None, "error": "no"}

    first, second = transcript_of([said("mcp_call", **body), said("mcp_call", **failed)])

    assert (first.heading, first.result) == ("Tool call: calc", "42")
    assert second.result == "Error: no"


def test_a_refusal_and_reasoning_can_be_read():
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]}
    thought = {"summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}

    first, second = transcript_of([said("message", **refusal), said("reasoning", **thought)])

    assert (first.text, second.text, second.heading) == ("I cannot.", "Hm.", "Reasoning")
