"""Calls that a person must allow: the run pauses, and goes on from what is stored of it."""

from dataclasses import replace

import pytest

from agents.runtime.catalog.agents import RunLimits
from agents.runtime.loop.pending_calls import plan_from_items, waiting
from agents.schema.items import ApprovalResponse, StoredItem, item_json, read_item, user_message
from agents.schema.loop_events import ApprovalNeeded, ToolStarted
from agents.schema.stored_items import outputs_for_open_calls
from tests.fakes.loop_ports import Stage, kinds, outputs
from tests.fakes.scripted_model import ScriptedModel, calls, says


async def pay(arguments):
    return "paid"


async def look(arguments):
    return "seen"


CAREFUL = {"pay": {"needs_approval": True}}


def stage(*turns, **changed):
    return Stage(ScriptedModel(*turns), pay, look, **CAREFUL, **changed)


async def paused():
    play = stage(calls(("pay", {"sum": 5}), "look"))
    return play, await play.run()


def stored(ended):
    """The items as they come back from a table."""
    return [StoredItem(item=read_item(item_json(item))) for item in ended.items]


def later(play, ended, *turns, items=None, **changed):
    """Another worker, hours later, with nothing but the stored items."""
    again = stage(*turns, **changed)
    plan = plan_from_items(
        stored(ended) if items is None else items,
        request=play.plan().request,
        limits=RunLimits(),
        done=ended.progress,
    )
    return again, plan


async def test_a_run_pauses_before_the_call_and_does_the_others():
    play, ended = await paused()

    assert (ended.state, play.tools.called) == ("paused", [("look", {})])
    assert kinds(ended) == [
        *("function_call", "function_call", "tenantry:approval_request", "function_call_output")
    ]
    (request,) = ended.approvals
    assert (request.name, request.arguments) == ("pay", '{"sum": 5}')
    assert (play.told(ApprovalNeeded)[0].request, play.requests) == (request, [(request,)])


async def test_a_paused_run_is_saved_whole():
    play, ended = await paused()

    assert ended.unsaved == ()
    assert play.saves[-1] == (play.saves[-1][0], ended.items)
    assert waiting(ended.items) == ended.approvals


async def test_an_approved_call_is_made_on_another_worker():
    play, ended = await paused()
    again, plan = later(play, ended, says("Done"), decision=True)

    finished = await again.run(plan)

    assert (again.tools.called, finished.state) == ([("pay", {"sum": 5})], "completed")
    assert again.requests == [ended.approvals], "asked about what was asked before"
    assert kinds(finished)[4:] == [
        *("tenantry:approval_response", "function_call_output", "message")
    ]
    assert [role for role, _ in again.model.messages()] == ["user", "assistant", "tool", "tool"]
    assert (finished.progress.steps, finished.progress.tool_calls) == (2, 2)


async def test_a_refused_call_is_not_made_and_the_model_reads_why():
    play, ended = await paused()
    again, plan = later(play, ended, says("Well"), decision=False)

    finished = await again.run(plan)

    assert (again.tools.called, finished.state) == ([], "completed")
    assert outputs(finished)[-1] == "Error: A person refused this call: so"


async def test_without_a_verdict_the_run_is_paused_anew_and_asks_nothing_twice():
    play, ended = await paused()
    again, plan = later(play, ended, says("Never"))

    still = await again.run(plan)

    assert (still.state, still.approvals, still.items) == ("paused", ended.approvals, ended.items)
    assert (again.facts, again.model.asked) == ([], [])


async def test_a_verdict_that_came_as_an_item_is_enough():
    play, ended = await paused()
    response = ApprovalResponse(id="apa_1", approval_request_id=ended.approvals[0].id, approve=True)
    items = [*stored(ended), StoredItem(item=response, is_input=True)]
    again, plan = later(play, ended, says("Done"), items=items)

    finished = await again.run(plan)

    assert (finished.state, again.tools.called, again.requests) == (
        "completed",
        [("pay", {"sum": 5})],
        [],
    )


async def test_the_first_verdict_counts():
    play, ended = await paused()
    request = ended.approvals[0].id
    both = [
        ApprovalResponse(id=f"apa_{n}", approval_request_id=request, approve=approve)
        for n, approve in enumerate((False, True))
    ]
    again, plan = later(play, ended, says("Well"), items=[*stored(ended), *both])

    await again.run(plan)

    assert again.tools.called == []


async def test_an_approval_that_is_there_at_once_does_not_pause():
    play = stage(calls("pay"), says("Done"), decision=True)

    ended = await play.run()

    assert (ended.state, play.tools.called) == ("completed", [("pay", {})])


async def test_a_call_that_is_not_valid_is_not_put_before_a_person():
    async def strict(arguments):
        return ""

    strict.schema = {"type": "object", "required": ["sum"]}
    play = Stage(ScriptedModel(calls("strict"), says("Sorry")), strict, strict=CAREFUL["pay"])

    ended = await play.run()

    assert (ended.state, play.requests) == ("completed", [])


async def test_a_tool_that_vanished_while_a_person_thought_is_an_error():
    play, ended = await paused()
    again, plan = later(play, ended, says("Sorry"), decision=True)
    del again.tools.specs["pay"]

    finished = await again.run(plan)

    assert finished.state == "completed"
    assert "There is no tool 'pay'" in outputs(finished)[-1]


async def test_what_the_client_brought_is_no_part_of_what_the_run_made():
    items = [StoredItem(item=user_message("Hi"), is_input=True), *stored((await paused())[1])]

    plan = later(*(await paused()), items=items)[1]

    assert len(plan.items) == 4


async def test_waiting_for_a_person_takes_no_time_of_the_run():
    play, ended = await paused()
    again, plan = later(play, ended, says("Done"), decision=True)

    finished = await again.run(replace(plan, limits=RunLimits(seconds=1)))

    assert (finished.state, finished.progress.seconds < 1) == ("completed", True)


async def test_an_approval_and_a_function_of_the_client_wait_for_each_other():
    play = stage(calls("pay", "paint"))

    ended = await play.run(client_tools=["paint"])
    again = stage(says("Never"), decision=True)
    plan = plan_from_items(
        stored(ended),
        request=play.plan(client_tools=["paint"]).request,
        limits=RunLimits(),
        done=ended.progress,
        client_tools=frozenset({"paint"}),
    )
    finished = await again.run(plan)

    assert ended.state == "paused"
    assert (finished.state, [call.name for call in finished.client_calls]) == (
        "completed",
        ["paint"],
    )


@pytest.mark.parametrize("note", ["It was cancelled."])
async def test_open_calls_of_a_run_that_was_stopped_can_be_answered(note):
    _, ended = await paused()

    (output,) = outputs_for_open_calls(ended.items, note=note)

    assert (output.call_id, output.output) == ("pay-0", note)
    assert outputs_for_open_calls([*ended.items, output], note=note) == ()


async def test_a_person_must_allow_each_call_anew():
    play = stage(calls("pay"), calls("pay"), says("Done"), decision=True)

    await play.run()

    assert (len(play.requests), len(play.told(ToolStarted))) == (2, 2)
