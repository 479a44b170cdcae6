"""Messages over A2A: each is a task, which is a run, in a context, which is a conversation."""

import httpx
import pytest
from a2a.client.errors import A2AClientError
from a2a.types import CancelTaskRequest, GetTaskRequest, Part, SendMessageConfiguration, TaskState
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.struct_pb2 import Value

from agents import services
from agents.models import Conversation, Run
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.cast import hire, issue
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.runs.a2a import BINDINGS, a2a_client, address, message, offer, send, text_of

UNKNOWN = "resp_" + "0" * 30


@pytest.fixture
def agent(acme, tiny):
    return offer(acme.tenant, tiny)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_message_is_answered_by_a_completed_task_and_metered(
    gateway, acme, engine, binding
):
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        task = await send(client, message("What is up?"))
        again = await client.get_task(GetTaskRequest(id=task.id))

    (event,) = await ledger()
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert text_of(task).startswith("tok")
    assert again == task
    assert [part.text for part in task.history[0].parts] == ["What is up?"]
    assert task.history[0].message_id == "message-1"
    assert event.tenant_id == acme.tenant.pk
    assert next(iter(engine.records)).body["messages"][-1]["content"] == "What is up?"


@pytest.mark.usefixtures("agent")
async def test_a_context_is_a_conversation_that_the_next_task_continues(gateway, acme, engine):
    engine.behave(Behaviour(script=("Ada.",)))
    async with a2a_client(gateway, acme, streaming=False) as client:
        first = await send(client, message("Who are you?"))
        second = await send(client, message("And now?", context_id=first.context_id))

    said = [each["content"] for each in list(engine.records)[-1].body["messages"]]
    assert first.context_id == second.context_id
    assert first.id != second.id
    assert said == ["Who are you?", "Ada.", "And now?"]
    assert await in_database(Conversation.objects.count) == 1


@pytest.mark.usefixtures("agent")
async def test_a_task_that_is_returned_at_once_goes_on(gateway, acme, engine):
    request = message(configuration=SendMessageConfiguration(return_immediately=True))
    async with a2a_client(gateway, acme, streaming=False) as client:
        engine.behave(Behaviour(fault=Fault.STALLS))
        waiting = await send(client, request)
        await client.cancel_task(CancelTaskRequest(id=waiting.id))
        engine.behave(Behaviour(tokens=3))
        task = await send(client, request)
        while task.status.state != TaskState.TASK_STATE_COMPLETED:
            task = await client.get_task(GetTaskRequest(id=task.id))
            assert task.status.state != TaskState.TASK_STATE_FAILED

    assert waiting.status.state in {
        TaskState.TASK_STATE_SUBMITTED,
        TaskState.TASK_STATE_WORKING,
    }
    assert text_of(task)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_what_is_not_a_task_of_this_agent_is_not_found(gateway, acme, rival, tiny, binding):
    await in_database(offer, acme.tenant, tiny, slug="other")
    await in_database(offer, rival.tenant, tiny)
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        task = await send(client, message())
    response = await gateway.post(acme, "/v1/responses", json={"model": "helper", "input": "a"})

    async def is_missing(member, agent, task_id):
        async with a2a_client(gateway, member, agent=agent, binding=binding) as client:
            with pytest.raises(TaskNotFoundError):
                await client.get_task(GetTaskRequest(id=task_id))

    await is_missing(rival, "helper", task.id)
    await is_missing(acme, "other", task.id)
    await is_missing(acme, "helper", UNKNOWN)
    await is_missing(acme, "helper", "no-id")
    await is_missing(acme, "helper", response.json()["id"])


@pytest.mark.usefixtures("agent")
async def test_a_context_of_another_agent_tenant_or_client_is_refused(gateway, acme, rival, tiny):
    await in_database(offer, acme.tenant, tiny, slug="other")
    await in_database(offer, rival.tenant, tiny)
    async with a2a_client(gateway, acme, streaming=False) as client:
        context = (await send(client, message())).context_id

    for member, agent, wrong in (
        (rival, "helper", context),
        (acme, "other", context),
        (acme, "helper", "my-own-context"),
    ):
        async with a2a_client(gateway, member, agent=agent, streaming=False) as client:
            with pytest.raises(InvalidParamsError, match="no such context"):
                await send(client, message(context_id=wrong))


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_task_that_has_ended_accepts_no_more_messages(gateway, acme, binding):
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        task = await send(client, message())
        with pytest.raises(UnsupportedOperationError):
            await send(client, message(task_id=task.id))
        with pytest.raises(InvalidParamsError, match="another context"):
            await send(client, message(task_id=task.id, context_id="conv_" + "0" * 30))
        with pytest.raises(TaskNotFoundError):
            await send(client, message(task_id=UNKNOWN))


@pytest.mark.usefixtures("agent")
async def test_data_text_and_images_reach_the_model(gateway, acme, engine):
    value = Value()
    value.struct_value.update({"count": 3})
    parts = [
        Part(text="Look:"),
        Part(data=value),
        Part(raw=b"\x89PNG", media_type="image/png"),
        Part(raw=b"a,b", media_type="text/csv", filename="t.csv"),
    ]
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message(parts=parts))

    content = next(iter(engine.records)).body["messages"][-1]["content"]
    texts = [each["text"] for each in content if each["type"] == "text"]
    images = [each for each in content if each["type"] == "image_url"]
    assert texts == ["Look:", '{"count": 3}', "t.csv:\na,b"]
    assert images[0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert task.history[0].parts[2].raw == b"\x89PNG"


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize(
    "part",
    [
        Part(raw=b"x", media_type="application/x-unsupported"),
        Part(raw=b"x"),
        Part(url="https://example.org/secret.txt", media_type="text/plain"),
    ],
)
async def test_parts_that_no_model_reads_are_refused(gateway, acme, binding, part):
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        with pytest.raises(ContentTypeNotSupportedError):
            await send(client, message(parts=[part]))

    assert await in_database(Run.objects.count) == 0
    assert await in_database(Conversation.objects.count) == 0


@pytest.mark.usefixtures("agent")
async def test_a_message_without_parts_or_of_an_agent_is_invalid(gateway, acme):
    async with a2a_client(gateway, acme, streaming=False) as client:
        with pytest.raises(InvalidParamsError):
            await send(client, message(parts=[]))


@pytest.mark.usefixtures("agent")
async def test_an_engine_that_dies_makes_a_failed_task(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.REFUSES, status=400, error_body='{"error":"broken"}'))
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())

    assert task.status.state == TaskState.TASK_STATE_FAILED
    assert task.status.message.parts[0].text


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_without_a_key_or_with_a_foreign_one_nothing_is_answered(
    gateway, acme, rival, binding
):
    body = {"jsonrpc": "2.0", "id": 7, "method": "GetTask", "params": {"id": UNKNOWN}}

    async def ask(member):
        if binding == "JSONRPC":
            return await gateway.post(member, address(acme), json=body)
        return await gateway.get(member, f"{address(acme)}/tasks/{UNKNOWN}")

    nobody, foreign = await ask(None), await ask(rival)

    assert (nobody.status, foreign.status) == (401, 404)
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert nobody.json()["error"]["message"]


@pytest.mark.usefixtures("agent")
async def test_only_an_offered_agent_that_the_key_may_use_is_there(gateway, acme, tiny):
    await in_database(hire, acme.tenant, tiny, slug="private")
    narrow = await in_database(issue, acme.tenant, allowed_models=["private"])
    body = {"jsonrpc": "2.0", "id": 7, "method": "ListTasks", "params": {}}
    version = {"a2a-version": "1.0"}

    private = await gateway.post(acme, address(acme, "private"), json=body, headers=version)
    denied = await gateway.post(narrow, address(acme), json=body, headers=version)
    allowed = await gateway.post(acme, address(acme), json=body, headers=version)

    assert (private.status, denied.status, allowed.status) == (404, 404, 200)
    assert private.error["data"][0]["reason"] == "NOT_FOUND"


@pytest.mark.usefixtures("agent")
async def test_a_paused_agent_refuses_with_its_code(gateway, acme, agent):
    await in_database(services.pause_agent, agent=agent)
    await gateway.worker.follower.catch_up()
    async with a2a_client(gateway, acme, streaming=False) as client:
        with pytest.raises(A2AClientError) as refused:
            await send(client, message())

    response = refused.value.__cause__.response
    assert isinstance(refused.value.__cause__, httpx.HTTPStatusError)
    assert response.json()["error"]["data"][0]["reason"] == "AGENT_PAUSED"
    assert await in_database(Conversation.objects.count) == 0
