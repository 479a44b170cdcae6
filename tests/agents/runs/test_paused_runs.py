"""Runs that wait for a person: paused, decided, gone on with once, cancelled, expired."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agents.models import Approval, Conversation, Item, Run
from agents.runs import approvals
from agents.runs.paused_runs import expire_waiting
from agents.services import delete_agent
from agents.tasks import expire_approvals
from tenants import services as tenants
from tenants.models import ApiKey
from tests.agents.doors.websocket.test_socket import CREATE, socket
from tests.fixtures.cast import join, serve
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.runs.runs import (
    TERMINAL,
    begin_conversation,
    frames_of,
    output_text,
    respond,
    run_reaches,
    run_row,
    text_of,
)
from tests.fixtures.runs.waiting import (
    decide,
    employ_careful,
    pause,
    request_of,
    seen_until,
    states,
    wants_to_reckon,
)


@pytest.fixture
def helper(acme, tiny, engine):
    engine.behave(wants_to_reckon())
    return employ_careful(acme, tiny)


def kinds(response):
    return [item["type"] for item in response["output"]]


WHOLE = [
    *("mcp_approval_request", "mcp_approval_response", "mcp_call", "message"),
]


@pytest.mark.usefixtures("helper")
async def test_a_run_waits_held_by_nobody_and_says_so(gateway, acme, engine):
    waiting = await pause(gateway, acme)

    assert (waiting["status"], waiting["incomplete_details"]) == (
        "incomplete",
        {"reason": "approval_required"},
    )
    assert kinds(waiting) == WHOLE[:1]
    row = await run_reaches(waiting["id"], "requires_approval")
    assert (row.worker, row.lease_until, row.steps) == ("", None, 1)
    assert row.prompt_tokens > 0
    approval = await in_database(Approval.objects.get)
    assert (approval.public_id, approval.tool, approval.arguments, approval.state) == (
        request_of(waiting),
        "calc",
        {"expression": "6 * 7"},
        "pending",
    )
    (event,) = await ledger()
    assert event.status == "completed", "its hold is settled"
    assert (await gateway.get(acme, f"/v1/responses/{waiting['id']}")).json()["output"] == (
        waiting["output"]
    )
    assert len(gateway.worker.gateway.runner) == 0


@pytest.mark.usefixtures("helper")
async def test_an_allowed_call_is_made_and_the_run_ends_as_any_other(gateway, acme, engine):
    waiting = await pause(gateway, acme)

    answer = await decide(gateway, acme, waiting)

    assert answer.status == 200
    assert answer.json() == {
        "object": "response.approval",
        "id": request_of(waiting),
        "response_id": waiting["id"],
        "state": "approved",
    }
    done = await seen_until(gateway, acme, waiting["id"], "completed")
    assert kinds(done) == WHOLE
    assert (done["output"][2]["output"], output_text(done)) == ("42", "It is 42.")
    row = await run_row(waiting["id"])
    assert (row.state, row.steps, row.tool_calls, row.checkpoint) == ("completed", 2, 1, "")
    sent = sum(record.usage_written["total_tokens"] for record in engine.records)
    assert done["usage"]["total_tokens"] == sent
    assert len(await ledger(rows=2)) == 2
    stored = await in_database(lambda: list(Item.objects.values_list("kind", flat=True)))
    assert stored == ["message", *(kind.replace("mcp_app", "tenantry:app") for kind in WHOLE)]
    assert done["output"][2]["approval_request_id"] == request_of(waiting)
    approval = await in_database(Approval.objects.get)
    assert approval.resolved_by.startswith("key ")


@pytest.mark.usefixtures("helper")
async def test_a_refused_call_is_not_made_and_the_model_reads_why(gateway, acme, engine):
    waiting = await pause(gateway, acme)

    await decide(gateway, acme, waiting, approve=False, reason="too dear")

    done = await seen_until(gateway, acme, waiting["id"], "completed")
    (part,) = done["output"][2]["error"]["content"]
    assert part["text"] == "A person refused this call: too dear"
    told = [m["content"] for m in engine.records.last.body["messages"] if m["role"] == "tool"]
    assert told == ["Error: A person refused this call: too dear"]


@pytest.mark.usefixtures("helper")
async def test_of_two_people_one_decides(gateway, acme, engine):
    waiting = await pause(gateway, acme)

    answers = await asyncio.gather(
        *(decide(gateway, acme, waiting, approve=n % 2 == 0) for n in range(6))
    )

    assert sorted(answer.status for answer in answers) == [200, *[409] * 5]
    assert {a.error["code"] for a in answers if a.status == 409} == {"approval_resolved"}
    await seen_until(gateway, acme, waiting["id"], "completed")
    assert len(engine.records) == 2


@pytest.mark.usefixtures("helper")
async def test_the_stream_stays_open_and_is_one_log(gateway, acme, engine):
    waiting = asyncio.create_task(respond(gateway, acme, model="helper", stream=True))
    await eventually_waits()
    run = await in_database(Run.objects.get)
    approval = await in_database(Approval.objects.get)
    half = {"id": run.public_id}

    await decide(gateway, acme, half, approval=approval.public_id)
    frames = frames_of(await waiting)

    assert [frame["sequence_number"] for frame in frames] == list(range(len(frames)))
    assert sum(frame["type"] in TERMINAL for frame in frames) == 1
    assert text_of(frames) == "It is 42."
    path = f"/v1/responses/{run.public_id}?stream=true"
    assert frames_of(await gateway.get(acme, path)) == frames
    (paused,) = [f for f in frames if f["type"] == "tenantry:response.requires_approval"]
    after = paused["sequence_number"]
    rest = frames_of(await gateway.get(acme, f"{path}&starting_after={after}"))
    assert rest == frames[after + 1 :]


async def eventually_waits():
    async with asyncio.timeout(5):
        while not await in_database(lambda: Run.objects.filter(state="requires_approval").exists()):
            await asyncio.sleep(0.02)


@pytest.mark.usefixtures("helper")
async def test_two_calls_wait_until_both_are_decided(gateway, acme, engine):
    engine.behave(wants_to_reckon(calls=2))
    waiting = await pause(gateway, acme)
    first, second = [
        item["id"] for item in waiting["output"] if item["type"].endswith("approval_request")
    ]

    await decide(gateway, acme, waiting, approval=first)
    await asyncio.sleep(0.3)
    assert (await run_row(waiting["id"])).state == "requires_approval"
    await decide(gateway, acme, waiting, approval=second, approve=False)

    done = await seen_until(gateway, acme, waiting["id"], "completed")
    made, refused = [item for item in done["output"] if item["type"] == "mcp_call"]
    assert (made["output"], refused["output"]) == ("42", None)
    assert refused["error"]["content"][0]["text"] == "A person refused this call."


@pytest.mark.usefixtures("helper")
async def test_cancelling_a_run_that_waits_ends_it(gateway, acme, engine):
    await in_database(begin_conversation, acme)
    waiting = await pause(gateway, acme, conversation="conv_1")
    busy = await respond(gateway, acme, model="helper", conversation="conv_1")
    assert (busy.status, busy.error["code"]) == (409, "conversation_busy")

    answer = await gateway.post(acme, f"/v1/responses/{waiting['id']}/cancel")

    assert answer.json()["status"] == "cancelled"
    late = await decide(gateway, acme, waiting)
    assert (late.status, late.error["code"]) == (409, "approval_resolved")
    *_, end = frames_of(await gateway.get(acme, f"/v1/responses/{waiting['id']}?stream=true"))
    assert (end["type"], end["response"]["status"]) == ("response.incomplete", "cancelled")
    engine.behave(wants_to_reckon(answer="Fine."))
    after = await respond(gateway, acme, model="helper", conversation="conv_1")
    assert after.status == 200
    roles = [message["role"] for message in engine.records.last.body["messages"]]
    assert roles[:4] == ["user", "assistant", "tool", "user"], "the open call is answered"
    await in_database(expire_approvals)
    assert await states() == ["pending", "expired"], "the new one still waits"


@pytest.mark.usefixtures("helper")
async def test_approvals_of_others_look_as_if_they_were_not_there(gateway, acme, engine):
    rival = await in_database(join, "rival")
    waiting, other = await pause(gateway, acme), await pause(gateway, acme)

    answers = [
        await decide(gateway, rival, waiting),
        await decide(gateway, acme, waiting, approval="apr_none"),
        await decide(gateway, acme, waiting, approval=request_of(other)),
        await decide(gateway, acme, {**waiting, "id": "resp_none"}),
    ]
    async with socket(gateway, rival) as client:
        frame = {"type": "approval.resolve", "response_id": waiting["id"]}
        await client.say({**frame, "approval_id": request_of(waiting), "approve": True})
        *_, refused = await client.hear_until("error")

    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert refused["error"]["code"] == answers[0].error["code"]
    assert await states() == ["pending", "pending"]


@pytest.mark.usefixtures("helper")
async def test_a_socket_asks_decides_and_hears_the_end(gateway, acme, engine):
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "model": "helper"})
        frames = await client.hear_until("tenantry:response.requires_approval")
        waiting = frames[-1]["response"]
        decision = {"approval_id": request_of(waiting), "approve": True}
        await client.say({"type": "approval.resolve", "response_id": waiting["id"], **decision})
        frames += await client.hear_until(*TERMINAL)

    acks = [frame for frame in frames if frame["type"] == "ack"]
    assert acks == [{"type": "ack", "approval_id": request_of(waiting)}]
    told = [frame["sequence_number"] for frame in frames if frame["type"] != "ack"]
    assert told == list(range(len(told)))
    assert output_text(frames[-1]["response"]) == "It is 42."


@pytest.mark.usefixtures("helper")
async def test_a_decision_of_the_console_goes_on_too(gateway, acme, engine):
    waiting = await pause(gateway, acme)

    await in_database(
        lambda: approvals.resolve(
            approval=Approval.objects.select_related("run").get(), by="ada", decision="approved"
        )
    )

    await seen_until(gateway, acme, waiting["id"], "completed", within=2)


@pytest.mark.usefixtures("helper")
async def test_a_decision_of_which_nobody_was_told_is_found(gateway, acme, engine):
    waiting = await pause(gateway, acme)
    await run_reaches(waiting["id"], "requires_approval")

    await in_database(lambda: Approval.objects.update(state="approved"))

    await seen_until(gateway, acme, waiting["id"], "completed", within=9)


@pytest.mark.usefixtures("helper")
async def test_what_nobody_decides_ends_incomplete(gateway, acme, engine):
    await in_database(begin_conversation, acme)
    waiting = await pause(gateway, acme, conversation="conv_1")
    await run_reaches(waiting["id"], "requires_approval")
    assert await in_database(expire_approvals) == 0
    await in_database(
        lambda: Approval.objects.update(created_at=datetime.now(UTC) - timedelta(days=8))
    )

    assert await in_database(expire_approvals) == 1
    assert await in_database(expire_waiting, now=datetime.now(UTC), after=timedelta(days=7)) == []

    seen = await seen_until(gateway, acme, waiting["id"], "incomplete")
    assert seen["incomplete_details"] == {"reason": "approval_expired"}
    assert await states() == ["expired"]
    path = f"/v1/responses/{waiting['id']}?stream=true"
    *_, end = frames_of(await gateway.get(acme, path))
    assert end["type"] == "response.incomplete"
    assert (await respond(gateway, acme, model="helper", conversation="conv_1")).status == 200


@pytest.mark.usefixtures("helper")
async def test_a_session_of_the_simple_door_says_why_it_is_not_whole(gateway, acme, engine):
    asked = {"input_text": "hi", "agent": "helper"}
    answer = (await gateway.post(acme, "/v1/chat", json=asked)).json()

    assert (answer["response"], answer["incomplete"]) == ("", "approval_required")
    run, approval = await in_database(Run.objects.get), await in_database(Approval.objects.get)
    await decide(gateway, acme, {"id": run.public_id}, approval=approval.public_id)
    await run_reaches(run.public_id, "completed")
    talk = await in_database(Conversation.objects.get)
    assert await in_database(lambda: Item.objects.filter(conversation=talk).count()) == 5


@pytest.mark.usefixtures("helper")
async def test_a_run_that_is_not_stored_cannot_wait(gateway, acme, engine):
    done = await pause(gateway, acme, store=False)

    assert done["status"] == "completed"
    (why,) = done["output"][2]["error"]["content"]
    assert why["text"].endswith("Approvals cannot be requested here.")


@pytest.mark.usefixtures("helper")
async def test_a_revoked_key_does_not_go_on(gateway, acme, rival, engine):
    waiting = await pause(gateway, acme)
    await run_reaches(waiting["id"], "requires_approval")
    await in_database(
        lambda: tenants.block_key(key=ApiKey.objects.get(tenant=acme.tenant), now=datetime.now(UTC))
    )
    await asyncio.sleep(1)
    await in_database(
        lambda: approvals.resolve(
            approval=Approval.objects.select_related("run").get(), by="ada", decision="approved"
        )
    )

    row = await run_reaches(waiting["id"], "failed")
    assert row.error["code"] == "revoked_api_key"
    assert len(engine.records) == 1


async def test_a_run_whose_agent_is_deleted_does_not_continue_on_a_route_of_its_name(
    gateway, acme, helper, engine
):
    waiting = await pause(gateway, acme)
    await run_reaches(waiting["id"], "requires_approval")
    await in_database(serve, engine.url, model="helper")
    await in_database(delete_agent, agent=helper)
    await eventually(lambda: "helper" in gateway.worker.fleet.current.routes)
    await in_database(
        lambda: approvals.resolve(
            approval=Approval.objects.select_related("run").get(), by="ada", decision="approved"
        )
    )

    row = await run_reaches(waiting["id"], "failed")
    assert row.error["code"] == "model_not_found"
    assert len(engine.records) == 1


@pytest.mark.usefixtures("helper")
@pytest.mark.parametrize("told", [{}, {"approve": "yes"}, {"approve": True, "reason": "x" * 501}])
async def test_what_is_no_decision_is_refused(gateway, acme, told):
    waiting = await pause(gateway, acme)
    path = f"/v1/responses/{waiting['id']}/approvals/{request_of(waiting)}"

    assert (await gateway.post(acme, path, json=told)).status == 400
    assert await states() == ["pending"]
