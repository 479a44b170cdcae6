"""Streams over A2A: the task, its updates, and the end; a task can be followed by several."""

import asyncio

import pytest
from a2a.types import (
    CancelTaskRequest,
    GetTaskRequest,
    SendMessageConfiguration,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import TaskNotFoundError, UnsupportedOperationError

from agents.models import Run
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.gateway import in_database, running_gateway
from tests.fixtures.runs.a2a import BINDINGS, a2a_client, message, offer, send, text_of

WORKING, COMPLETED = TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED


@pytest.fixture
def agent(acme, tiny):
    return offer(acme.tenant, tiny)


def texts(events):
    return "".join(
        part.text
        for event in events
        if event.HasField("artifact_update")
        for part in event.artifact_update.artifact.parts
    )


def states(events):
    return [event.status_update.status.state for event in events if event.HasField("status_update")]


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_stream_begins_with_the_task_and_ends_with_its_last_state(gateway, acme, binding):
    async with a2a_client(gateway, acme, binding=binding) as client:
        events = [event async for event in client.send_message(message("Tell me."))]
        task = await client.get_task(GetTaskRequest(id=events[0].task.id))

    updates = [event.artifact_update for event in events if event.HasField("artifact_update")]
    assert events[0].task.history[0].parts[0].text == "Tell me."
    assert states(events) == [WORKING, COMPLETED]
    assert events[-1].HasField("status_update")
    assert [update.append for update in updates] == [False] + [True] * (len(updates) - 1)
    assert [update.last_chunk for update in updates] == [False] * (len(updates) - 1) + [True]
    assert texts(events) == text_of(task)
    assert {update.artifact.artifact_id for update in updates} == {task.artifacts[0].artifact_id}
    assert {update.context_id for update in updates} == {task.context_id}


@pytest.mark.usefixtures("agent")
async def test_texts_arrive_while_the_model_still_writes(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3, fault=Fault.STALLS_AFTER, after_chunks=2))
    async with a2a_client(gateway, acme) as client:
        stream = client.send_message(message())
        task = (await anext(stream)).task
        async for event in stream:
            if event.HasField("artifact_update"):
                break
        is_active = await in_database(lambda: Run.objects.filter(state="in_progress").exists())
        await client.cancel_task(CancelTaskRequest(id=task.id))

    assert is_active


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_subscriber_on_another_worker_gets_all_updates_from_the_beginning(
    gateway, acme, engine, binding
):
    engine.behave(Behaviour(tokens=6, fault=Fault.STALLS_AFTER, after_chunks=3))
    async with (
        running_gateway() as other,
        a2a_client(gateway, acme, binding=binding) as client,
        a2a_client(other, acme, binding=binding) as subscriber,
    ):
        stream = client.send_message(message())
        sent = [await anext(stream)]
        while not texts(sent):
            sent.append(await anext(stream))
        task_id = sent[0].task.id
        follow = subscriber.subscribe(SubscribeToTaskRequest(id=task_id))
        seen = [await anext(follow)]
        while not texts(seen):
            seen.append(await anext(follow))
        await subscriber.cancel_task(CancelTaskRequest(id=task_id))
        seen += [event async for event in follow]
        sent += [event async for event in stream]

    assert seen[0].task.id == task_id
    assert texts(seen) == texts(sent) != ""
    assert states(seen)[-1] == states(sent)[-1] == TaskState.TASK_STATE_CANCELED


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_only_an_active_task_of_the_tenant_can_be_subscribed_to(gateway, acme, binding):
    async with a2a_client(gateway, acme, binding=binding) as client:
        (first, *_) = [event async for event in client.send_message(message())]
        with pytest.raises(UnsupportedOperationError):
            await anext(client.subscribe(SubscribeToTaskRequest(id=first.task.id)))
        with pytest.raises(TaskNotFoundError):
            await anext(client.subscribe(SubscribeToTaskRequest(id="resp_" + "0" * 30)))


@pytest.mark.usefixtures("agent")
async def test_a_client_that_leaves_its_stream_does_not_end_the_task(gateway, acme, engine):
    engine.behave(Behaviour(tokens=4, token_seconds=0.1))
    async with a2a_client(gateway, acme) as client:
        stream = client.send_message(message())
        task = (await anext(stream)).task
        await stream.aclose()
    async with a2a_client(gateway, acme) as client:
        while task.status.state != COMPLETED:
            task = await client.get_task(GetTaskRequest(id=task.id))
            assert task.status.state != TaskState.TASK_STATE_FAILED
            await asyncio.sleep(0.02)

    assert text_of(task)


@pytest.mark.usefixtures("agent")
async def test_an_engine_that_dies_in_a_stream_ends_it_with_a_failed_task(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.DIES_AFTER, after_chunks=2))
    async with a2a_client(gateway, acme) as client:
        events = [event async for event in client.send_message(message())]

    assert states(events)[-1] == TaskState.TASK_STATE_FAILED
    assert events[-1].status_update.status.message.parts[0].text


@pytest.mark.usefixtures("agent")
async def test_history_can_be_left_out(gateway, acme):
    none = SendMessageConfiguration(history_length=0)
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message(configuration=none))
        read = await client.get_task(GetTaskRequest(id=task.id, history_length=0))

    assert not task.history
    assert not read.history
    assert task.artifacts
