"""Calls that must not be repeated: saved before they are executed, decided by a person after."""

from dataclasses import replace

import pytest

from agents.errors import ToolOutcomeUnknown
from agents.runtime.loop.loop import MAY_BE_DONE
from agents.schema.items import ApprovalRequest, ApprovalResponse, FunctionCall
from tests.fakes.loop_ports import Stage, outputs
from tests.fakes.scripted_model import ScriptedModel, calls, says

CALL = FunctionCall(
    id="fc_1", call_id="pay-0", name="pay", arguments='{"sum": 5}', server_label="desk"
)


async def pay(arguments):
    return "paid"


async def look(arguments):
    return "seen"


def stage(*script, decision=None):
    idempotent = {"look": {"is_idempotent": True}}
    return Stage(ScriptedModel(*script), pay, look, decision=decision, **idempotent)


def after_a_death(play, *items):
    """The plan of a worker that continues where another one died while it called tools."""
    plan = play.plan()
    return replace(plan, items=items, started_calls=frozenset({"pay-0", "look-0"}))


async def test_only_calls_that_must_not_be_repeated_are_saved_before():
    play = stage(calls("pay", "look"), says("Done"))

    await play.run()

    assert play.starts == [("pay-0",)]


async def test_a_started_call_is_not_repeated_without_a_person():
    play = stage(says("Done"))

    ended = await play.run(after_a_death(play, CALL))

    assert (ended.state, play.tools.called) == ("paused", [])
    (request,) = ended.approvals
    assert (request.call_id, request.note) == ("pay-0", MAY_BE_DONE)


@pytest.mark.parametrize(("decision", "called"), [(True, [("pay", {"sum": 5})]), (False, [])])
async def test_a_person_decides_about_a_started_call(decision, called):
    play = stage(says("Done"), decision=decision)

    ended = await play.run(after_a_death(play, CALL))

    assert (ended.state, play.tools.called) == ("completed", called)


async def test_a_started_idempotent_call_is_repeated():
    play = stage(says("Done"))
    call = FunctionCall(
        id="fc_2", call_id="look-0", name="look", arguments="{}", server_label="desk"
    )

    ended = await play.run(after_a_death(play, call))

    assert (ended.state, play.tools.called, outputs(ended)) == (
        "completed",
        [("look", {})],
        ["seen"],
    )


async def test_an_approval_covers_one_execution():
    play = stage(says("Done"))
    request = ApprovalRequest(id="ap_1", call_id="pay-0", name="pay", arguments='{"sum": 5}')
    response = ApprovalResponse(id="ar_1", approval_request_id="ap_1", approve=True)

    with pytest.raises(ToolOutcomeUnknown):
        await play.run(after_a_death(play, CALL, request, response))
    assert play.tools.called == []


async def test_a_denied_repetition_is_not_executed_after_a_pause():
    """The checkpoint of a pause has no started calls; the decision still counts."""
    play = stage(says("Done"), decision=False)
    request = ApprovalRequest(
        id="ap_1", call_id="pay-0", name="pay", arguments='{"sum": 5}', note=MAY_BE_DONE
    )
    plan = replace(play.plan(), items=(CALL, request))

    ended = await play.run(plan)

    assert (ended.state, play.tools.called) == ("completed", [])
