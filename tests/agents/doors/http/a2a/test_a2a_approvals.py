"""A task that needs an approval: the client is asked for input, and its decision continues it."""

import pytest
from a2a.types import GetTaskRequest, Part, TaskState
from a2a.utils.errors import InvalidParamsError
from google.protobuf.struct_pb2 import Value

from agents import services
from tests.fixtures.runs.a2a import BINDINGS, a2a_client, message, send, text_of
from tests.fixtures.runs.waiting import employ_careful, states, wants_to_reckon

WAITS = TaskState.TASK_STATE_INPUT_REQUIRED


@pytest.fixture
def agent(acme, tiny):
    agent = employ_careful(acme, tiny)
    agent.offered_over_a2a = True
    services.save_draft(agent=agent)
    return agent


def decision(**data):
    value = Value()
    value.struct_value.update(data)
    return [Part(data=value)]


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_decision_of_the_client_continues_the_task_to_its_end(
    gateway, acme, engine, binding
):
    engine.behave(wants_to_reckon())
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        task = await send(client, message("6 * 7?"))
        asked = task.status
        done = await send(client, message(task_id=task.id, parts=decision(approve=True)))

    assert asked.state == WAITS
    assert "calc" in asked.message.parts[0].text
    assert done.id == task.id
    assert done.status.state == TaskState.TASK_STATE_COMPLETED
    assert text_of(done) == "It is 42."
    assert await states() == ["approved"]


@pytest.mark.usefixtures("agent")
async def test_a_stream_ends_at_the_question_and_goes_on_after_the_answer(gateway, acme, engine):
    engine.behave(wants_to_reckon())
    async with a2a_client(gateway, acme) as client:
        first = [event async for event in client.send_message(message())]
        task = first[0].task
        answer = message(task_id=task.id, parts=decision(approve=False, reason="No."))
        second = [event async for event in client.send_message(answer)]

    assert first[-1].status_update.status.state == WAITS
    assert second[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    assert await states() == ["denied"]


@pytest.mark.usefixtures("agent")
async def test_anything_but_a_decision_is_refused_and_decides_nothing(gateway, acme, engine):
    engine.behave(wants_to_reckon())
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())
        for wrong in (
            {"text": "yes, do it"},
            {"parts": decision(approve="yes")},
            {"parts": decision(approve=True, approval_request_id="apr_other")},
        ):
            with pytest.raises(InvalidParamsError):
                await send(client, message(task_id=task.id, **wrong))
        task = await client.get_task(GetTaskRequest(id=task.id))

    assert task.status.state == WAITS
    assert await states() == ["pending"]


@pytest.mark.usefixtures("agent")
async def test_one_of_two_decisions_leaves_the_task_waiting(gateway, acme, engine):
    engine.behave(wants_to_reckon(calls=2))
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())
        with pytest.raises(InvalidParamsError, match="apr_") as refused:
            await send(client, message(task_id=task.id, parts=decision(approve=True)))
        names = str(refused.value).partition(": ")[2].rstrip(".").split(", ")
        for_first = decision(approve=True, approval_request_id=names[0])
        waiting = await send(client, message(task_id=task.id, parts=for_first))
        for_second = decision(approve=True, approval_request_id=names[1])
        done = await send(client, message(task_id=task.id, parts=for_second))

    assert waiting.status.state == WAITS
    assert done.status.state == TaskState.TASK_STATE_COMPLETED
