"""Tasks over A2A: cancelled by any worker, and listed, the last changed first."""

import pytest
from a2a.types import CancelTaskRequest, ListTasksRequest, TaskState
from a2a.utils.errors import InvalidParamsError, TaskNotCancelableError, TaskNotFoundError

from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.gateway import in_database, running_gateway
from tests.fixtures.runs.a2a import BINDINGS, a2a_client, message, offer, send

UNKNOWN = "resp_" + "0" * 30


@pytest.fixture
def agent(acme, tiny):
    return offer(acme.tenant, tiny)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_task_of_one_worker_is_cancelled_by_another(gateway, acme, engine, binding):
    engine.behave(Behaviour(fault=Fault.STALLS_AFTER, after_chunks=1))
    async with (
        running_gateway() as other,
        a2a_client(gateway, acme, binding=binding) as client,
        a2a_client(other, acme, binding=binding) as canceller,
    ):
        stream = client.send_message(message())
        task = (await anext(stream)).task
        async for event in stream:
            if event.HasField("artifact_update"):
                break
        cancelled = await canceller.cancel_task(CancelTaskRequest(id=task.id))
        last = [event async for event in stream][-1]

    assert cancelled.id == task.id
    assert last.status_update.status.state == TaskState.TASK_STATE_CANCELED


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_task_that_has_ended_or_is_unknown_cannot_be_cancelled(gateway, acme, binding):
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        task = await send(client, message())
        with pytest.raises(TaskNotCancelableError):
            await client.cancel_task(CancelTaskRequest(id=task.id))
        with pytest.raises(TaskNotFoundError):
            await client.cancel_task(CancelTaskRequest(id=UNKNOWN))


@pytest.mark.usefixtures("agent")
async def test_a_foreign_task_cannot_be_cancelled(gateway, acme, rival, tiny):
    await in_database(offer, rival.tenant, tiny)
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())
    async with a2a_client(gateway, rival) as client:
        with pytest.raises(TaskNotFoundError):
            await client.cancel_task(CancelTaskRequest(id=task.id))


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_tasks_are_listed_in_pages_by_their_last_change(gateway, acme, rival, tiny, binding):
    await in_database(offer, rival.tenant, tiny)
    async with a2a_client(gateway, rival, streaming=False) as client:
        await send(client, message())
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        made = [(await send(client, message())).id for _ in range(3)]
        first = await client.list_tasks(ListTasksRequest(page_size=2))
        rest = await client.list_tasks(
            ListTasksRequest(page_size=2, page_token=first.next_page_token)
        )

    assert [task.id for task in (*first.tasks, *rest.tasks)] == made[::-1]
    assert (first.total_size, first.page_size, rest.next_page_token) == (3, 2, "")
    assert not any(task.artifacts for task in first.tasks)
    assert all(task.history for task in first.tasks)


@pytest.mark.usefixtures("agent")
async def test_a_list_is_filtered_by_context_and_state(gateway, acme, engine):
    async with a2a_client(gateway, acme, streaming=False) as client:
        good = await send(client, message())
        engine.behave(Behaviour(fault=Fault.REFUSES, status=400))
        bad = await send(client, message())

        async def ids(**wanted):
            page = await client.list_tasks(ListTasksRequest(**wanted))
            return [task.id for task in page.tasks]

        assert await ids(context_id=good.context_id) == [good.id]
        assert await ids(status=TaskState.TASK_STATE_FAILED) == [bad.id]
        assert await ids(status=TaskState.TASK_STATE_REJECTED) == []
        assert await ids(context_id="no-such-context") == []
        assert await ids(status_timestamp_after=bad.status.timestamp) == [bad.id]
        (shown,) = (
            await client.list_tasks(
                ListTasksRequest(context_id=good.context_id, include_artifacts=True)
            )
        ).tasks
        assert shown.artifacts


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("wrong", [{"page_size": 0}, {"page_size": 101}, {"page_token": "x"}])
async def test_a_list_refuses_wrong_pages(gateway, acme, wrong):
    async with a2a_client(gateway, acme) as client:
        with pytest.raises(InvalidParamsError):
            await client.list_tasks(ListTasksRequest(**wrong))
