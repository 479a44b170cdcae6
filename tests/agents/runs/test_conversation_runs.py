"""Runs of one conversation: one at a time, by the busy policy of the agent or the door."""

import asyncio

import pytest

from agents import services as agents
from agents.models import Item, Run
from tests.agents.doors.websocket.test_socket import CREATE, TERMINAL, hear_ends, socket
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.gateway import eventually, in_database, ledger
from tests.fixtures.runs.runs import (
    begin_conversation,
    frames_of,
    output_text,
    respond,
    run_reaches,
    run_row,
    texts_in,
)

SLOW = Behaviour(tokens=500, token_seconds=0.02)
QUICK = Behaviour(tokens=2, word="new")


def hire_with(tenant, route, **draft):
    """The agent `helper`, published with this policy."""
    agent = agents.create_agent(tenant=tenant, route=route, slug="helper", name="Helper")
    for name, value in draft.items():
        setattr(agent, name, value)
    agents.save_draft(agent=agent)
    agents.publish(agent=agent)


@pytest.fixture(autouse=True)
def conversation(tiny, acme):
    return begin_conversation(acme)


async def test_a_conversation_remembers_what_was_said(gateway, acme, engine):
    engine.behave(QUICK)
    await respond(gateway, acme, "one", conversation="conv_1")

    response = (await respond(gateway, acme, "two", conversation={"id": "conv_1"})).json()

    asked = [message["content"] for message in engine.records.rows[1].body["messages"]]
    assert asked == ["one", "new0 new1", "two"]
    assert response["conversation"] == {"id": "conv_1"}
    assert await in_database(texts_in) == ["one", "new0 new1", "two", "new0 new1"]


async def begin_slow_run(gateway, member, engine, **body):
    """A run that goes on, and the behaviour of the next one."""
    engine.behave(SLOW, QUICK)
    begun = await respond(gateway, member, "slow", background=True, conversation="conv_1", **body)
    run_id = begun.json()["id"]
    await eventually(lambda: len(engine.records) == 1)
    await asyncio.sleep(0.2)
    return run_id


async def test_over_rest_a_busy_conversation_refuses_and_names_the_run(gateway, acme, engine):
    run_id = await begin_slow_run(gateway, acme, engine)

    answer = await respond(gateway, acme, "more", conversation="conv_1")

    assert (answer.status, answer.error["code"]) == (409, "conversation_busy")
    assert run_id in answer.error["message"]
    assert await in_database(Run.objects.count) == 1
    await gateway.post(acme, f"/v1/responses/{run_id}/cancel")


async def test_on_a_socket_a_busy_conversation_lets_it_wait(gateway, acme, engine):
    run_id = await begin_slow_run(gateway, acme, engine)

    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "conversation": "conv_1"})
        queued = await client.hear_until("response.queued")
        assert len(engine.records) == 1
        await gateway.post(acme, f"/v1/responses/{run_id}/cancel")
        *_, last = await client.hear_until(*TERMINAL)

    assert queued[-1]["response"]["status"] == "queued"
    assert output_text(last["response"]) == "new0 new1"


async def test_runs_that_wait_are_served_in_their_order(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3, token_seconds=0.02))
    create = {**CREATE, "conversation": "conv_1"}

    async with socket(gateway, acme) as client:
        for number in range(5):
            await client.say({**create, "stream_id": str(number), "input": str(number)})
        frames = await hear_ends(client, 5)

    ended = [frame["stream_id"] for frame in frames if frame["type"] in TERMINAL]
    assert ended == ["0", "1", "2", "3", "4"]
    said = [text for text in await in_database(texts_in) if text.isdigit()]
    assert said == ["0", "1", "2", "3", "4"]


async def test_an_agent_may_interrupt_and_keeps_what_was_said(gateway, acme, engine, tiny):
    await in_database(hire_with, acme.tenant, tiny, busy_policy="interrupt")
    first = await begin_slow_run(gateway, acme, engine, model="helper")

    answer = await respond(gateway, acme, "wait", model="helper", conversation="conv_1")

    assert output_text(answer.json()) == "new0 new1"
    assert (await run_row(first)).state == "cancelled"
    said = await in_database(texts_in)
    assert said[0] == "slow"
    assert said[1].startswith("tok0 tok1")
    assert said[2:] == ["wait", "new0 new1"]


async def test_an_agent_may_roll_back_and_forgets_what_was_said(gateway, acme, engine, tiny):
    await in_database(hire_with, acme.tenant, tiny, busy_policy="rollback")
    first = await begin_slow_run(gateway, acme, engine, model="helper")

    answer = await respond(gateway, acme, "instead", model="helper", conversation="conv_1")

    assert answer.status == 200
    assert (await run_row(first)).state == "cancelled"
    assert await in_database(texts_in) == ["instead", "new0 new1"]
    assert len(await ledger(rows=2)) == 2


async def test_an_agent_may_let_rest_wait_too(gateway, acme, engine, tiny):
    await in_database(hire_with, acme.tenant, tiny, busy_policy="enqueue")
    engine.behave(Behaviour(tokens=5, token_seconds=0.02))
    ask = {"model": "helper", "conversation": "conv_1"}

    answers = await asyncio.gather(*(respond(gateway, acme, str(n), **ask) for n in range(4)))

    assert [answer.status for answer in answers] == [200] * 4
    assert len(await in_database(texts_in)) == 8


async def test_an_agent_may_refuse_on_sockets_too(gateway, acme, engine, tiny):
    await in_database(hire_with, acme.tenant, tiny, busy_policy="reject")
    run_id = await begin_slow_run(gateway, acme, engine, model="helper")

    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "model": "helper", "conversation": "conv_1"})
        error = await client.hear()
    await gateway.post(acme, f"/v1/responses/{run_id}/cancel")

    assert (error["status"], error["error"]["code"]) == (409, "conversation_busy")


async def test_a_run_that_waits_can_be_cancelled(gateway, acme, engine):
    run_id = await begin_slow_run(gateway, acme, engine)

    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "conversation": "conv_1"})
        queued = await client.hear_until("response.queued")
        waiting = queued[-1]["response"]["id"]
        await client.say({"type": "response.cancel", "response_id": waiting})
        *_, last = await client.hear_until(*TERMINAL)
    await gateway.post(acme, f"/v1/responses/{run_id}/cancel")

    assert (last["response"]["id"], last["response"]["status"]) == (waiting, "cancelled")
    assert len(engine.records) == 1


async def test_a_failed_run_leaves_nothing_in_the_conversation(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.DIES_AFTER, after_chunks=2), QUICK)

    failed = await respond(gateway, acme, "one", conversation="conv_1")
    again = await respond(gateway, acme, "one", conversation="conv_1")

    assert (failed.status, again.status) == (502, 200)
    assert await in_database(texts_in) == ["one", "new0 new1"]


async def test_a_client_id_that_comes_twice_joins_the_first_run(gateway, acme, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.02))
    create = {**CREATE, "conversation": "conv_1", "client_id": "mine"}

    async with socket(gateway, acme) as phone, socket(gateway, acme) as laptop:
        await phone.say(create)
        *_, ack = await phone.hear_until("ack")
        await laptop.say(create)
        *_, again = await laptop.hear_until("ack")
        on_phone = await phone.hear_until(*TERMINAL)
        on_laptop = await laptop.hear_until(*TERMINAL)

    assert again["response_id"] == ack["response_id"]
    assert (again["duplicate"], "duplicate" in ack) == (True, False)
    assert on_phone == on_laptop
    assert len(engine.records) == len(await ledger()) == 1


async def test_a_client_id_without_a_conversation_is_the_keys(gateway, acme, rival, engine):
    for member in (acme, acme, rival):
        async with socket(gateway, member) as client:
            await client.say({**CREATE, "client_id": "mine"})
            await client.hear_until(*TERMINAL)

    assert await in_database(Run.objects.count) == 2
    assert len(engine.records) == 2


async def test_a_client_id_for_something_else_is_a_mistake(gateway, acme, engine):
    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "client_id": "mine"})
        await client.hear_until(*TERMINAL)
        await client.say({**CREATE, "client_id": "mine", "input": "other"})
        error = await client.hear()

    assert (error["status"], error["error"]["code"]) == (409, "idempotency_mismatch")
    assert error["client_id"] == "mine"


async def test_foreign_conversations_are_as_if_they_were_not(gateway, acme, rival, engine):
    foreign = await respond(gateway, rival, conversation="conv_1")
    none = await respond(gateway, rival, conversation="conv_2")

    assert foreign.status == none.status == 404
    assert foreign.body == none.body
    async with socket(gateway, rival) as client:
        answers = []
        for name in ("conv_1", "conv_2"):
            await client.say({"type": "conversation.subscribe", "conversation": name})
            answers.append({**await client.hear(), "conversation": ""})
    assert answers[0] == answers[1]
    assert await in_database(Run.objects.count) == await in_database(Item.objects.count) == 0


async def test_foreign_runs_are_as_if_they_were_not_on_sockets(gateway, acme, rival):
    run_id = (await respond(gateway, acme)).json()["id"]

    async with socket(gateway, rival) as client:
        for kind in ("response.resume", "response.cancel"):
            answers = []
            for name in (run_id, "resp_nothing"):
                await client.say({"type": kind, "response_id": name})
                answers.append({**await client.hear(), "response_id": ""})
            assert answers[0] == answers[1]
            assert answers[0]["status"] == 404


async def test_a_device_that_comes_in_the_middle_sees_the_whole_answer(gateway, acme, engine):
    engine.behave(Behaviour(tokens=20, token_seconds=0.03))
    begun = await respond(gateway, acme, background=True, conversation="conv_1")
    run_id = begun.json()["id"]
    await eventually(lambda: len(engine.records) == 1)
    await asyncio.sleep(0.2)

    async with socket(gateway, acme) as client:
        await client.say({"type": "conversation.subscribe", "conversation": "conv_1"})
        frames = await client.hear_until(*TERMINAL)

    assert frames == frames_of(await gateway.get(acme, f"/v1/responses/{run_id}?stream=true"))


async def test_a_device_goes_on_where_it_was(gateway, acme, engine):
    engine.behave(Behaviour(tokens=4, token_seconds=0.02))
    first = (await respond(gateway, acme, "one", conversation="conv_1")).json()
    whole = frames_of(await gateway.get(acme, f"/v1/responses/{first['id']}?stream=true"))
    second = (await respond(gateway, acme, "two", conversation="conv_1")).json()

    async with socket(gateway, acme) as client:
        await client.say(
            {
                "type": "conversation.subscribe",
                "conversation": "conv_1",
                "response_id": first["id"],
                "starting_after": 5,
            }
        )
        frames = await hear_ends(client, 2)

    assert frames[: len(whole) - 6] == whole[6:]
    assert frames[-1]["response"]["id"] == second["id"]


async def test_its_own_runs_are_told_once_to_a_subscribed_socket(gateway, acme, engine):
    engine.behave(Behaviour(tokens=4, token_seconds=0.02))

    async with socket(gateway, acme) as client:
        await client.say({**CREATE, "conversation": "conv_1"})
        frames = await client.hear_until("response.output_text.delta")
        await client.say({"type": "conversation.subscribe", "conversation": "conv_1"})
        frames += await client.hear_until(*TERMINAL)
        await client.say({**CREATE, "conversation": "conv_1"})
        frames += await client.hear_until(*TERMINAL)

    by_run = {}
    for frame in frames:
        if "response" in frame:
            numbers = by_run.setdefault(frame["response"]["id"], [])
        numbers.append(frame["sequence_number"])
    assert [list(range(len(numbers))) for numbers in by_run.values()] == list(by_run.values())


async def test_rows_end_as_their_events_say(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3))
    response = (await respond(gateway, acme, conversation="conv_1")).json()

    row = await run_reaches(response["id"], "completed")
    usage = response["usage"]
    assert (row.prompt_tokens, row.completion_tokens) == (
        usage["input_tokens"],
        usage["output_tokens"],
    )
