"""Push notifications over A2A: registered by clients, sent by Celery, only to public addresses."""

import json
from datetime import timedelta

import pytest
from a2a.types import (
    AuthenticationInfo,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    SendMessageConfiguration,
    TaskPushNotificationConfig,
)
from a2a.utils.errors import InvalidParamsError, TaskNotFoundError
from aiohttp import web
from django.utils import timezone

from agents.a2a.push_configs import MAX_PUSH_CONFIGS_PER_TASK
from agents.a2a.push_delivery import FIRST_RETRY, MAX_TRIES
from agents.models import PushConfig, Run
from agents.tasks import send_push_notifications
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.a2a import BINDINGS, a2a_client, message, offer, send
from tests.fixtures.servers.tool_servers import local

HOOK = "https://hooks.example.com/a2a"
SECRET = "s3cr3t-credential"


@pytest.fixture
def agent(acme, tiny):
    return offer(acme.tenant, tiny)


def config(task, url=HOOK, name="mine", **facts):
    return TaskPushNotificationConfig(task_id=task.id, id=name, url=url, **facts)


def bearer():
    return AuthenticationInfo(scheme="Bearer", credentials=SECRET)


async def notify():
    return await in_database(send_push_notifications)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_config_is_created_read_listed_and_deleted_without_its_secrets(
    gateway, acme, binding
):
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        task = await send(client, message())
        made = await client.create_task_push_notification_config(
            config(task, token=SECRET, authentication=bearer())
        )
        wanted = GetTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        read = await client.get_task_push_notification_config(wanted)
        every = ListTaskPushNotificationConfigsRequest(task_id=task.id)
        listed = (await client.list_task_push_notification_configs(every)).configs
        gone = DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        for _ in range(2):
            await client.delete_task_push_notification_config(gone)
        with pytest.raises(TaskNotFoundError):
            await client.get_task_push_notification_config(wanted)

    assert (made.id, made.url, made.authentication.scheme) == ("mine", HOOK, "Bearer")
    assert made == read == listed[0]
    assert SECRET not in str(made)


@pytest.mark.usefixtures("agent")
@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize(
    "url", ["http://hooks.example.com", "https://127.0.0.1/x", "https://10.0.0.1/", "file:///x"]
)
async def test_an_address_that_is_not_public_is_refused_before_the_task_starts(
    gateway, acme, binding, url
):
    configuration = SendMessageConfiguration(
        task_push_notification_config=TaskPushNotificationConfig(url=url)
    )
    async with a2a_client(gateway, acme, binding=binding, streaming=False) as client:
        with pytest.raises(InvalidParamsError):
            await send(client, message(configuration=configuration))

    assert await in_database(Run.objects.count) == 0


@pytest.mark.usefixtures("agent")
async def test_a_foreign_task_gets_no_config_and_a_task_only_a_few(gateway, acme, rival, tiny):
    await in_database(offer, rival.tenant, tiny)
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())
        for number in range(MAX_PUSH_CONFIGS_PER_TASK):
            await client.create_task_push_notification_config(config(task, name=f"n{number}"))
        await client.create_task_push_notification_config(config(task, name="n0"))
        with pytest.raises(InvalidParamsError):
            await client.create_task_push_notification_config(config(task, name="more"))
    async with a2a_client(gateway, rival) as client:
        with pytest.raises(TaskNotFoundError):
            await client.create_task_push_notification_config(config(task))


@pytest.mark.usefixtures("agent")
async def test_the_end_of_a_task_is_sent_once_with_the_credentials(gateway, acme, tool_host):
    configuration = SendMessageConfiguration(
        task_push_notification_config=TaskPushNotificationConfig(
            url=local(tool_host, "/hook"), token="t0ken", authentication=bearer()
        )
    )
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message(configuration=configuration))

    assert (await notify(), await notify()) == (1, 0)
    ((method, path, headers, body),) = tool_host.seen
    update = json.loads(body)["statusUpdate"]
    sent = {name.lower(): value for name, value in headers.items()}
    assert (method, path) == ("POST", "/hook")
    assert sent["authorization"] == f"Bearer {SECRET}"
    assert sent["x-a2a-notification-token"] == "t0ken"
    assert sent["content-type"] == "application/a2a+json"
    assert update["taskId"] == task.id
    assert update["contextId"] == task.context_id
    assert update["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.usefixtures("agent")
async def test_a_webhook_that_fails_is_tried_again_and_given_up_in_the_end(
    gateway, acme, tool_host
):
    async def fail(_):
        return web.Response(status=500)

    tool_host.answers["/hook"] = fail
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())
        await client.create_task_push_notification_config(config(task, local(tool_host, "/hook")))

    def make_due():
        due = PushConfig.objects.exclude(next_try_at=None)
        return due.update(next_try_at=timezone.now() - timedelta(seconds=1))

    assert await notify() == 0
    first = await in_database(PushConfig.objects.get)
    assert first.next_try_at - first.created_at >= FIRST_RETRY
    while await in_database(make_due):
        await notify()

    row = await in_database(PushConfig.objects.get)
    assert len(tool_host.seen) == row.tries == MAX_TRIES
    assert row.last_error == "The webhook responded with status 500."
    assert row.credential == ""


@pytest.mark.usefixtures("agent")
async def test_a_task_that_goes_on_is_not_announced(gateway, acme, tool_host):
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())
        await in_database(lambda: Run.objects.update(state="in_progress"))
        await client.create_task_push_notification_config(config(task, local(tool_host)))

    assert await notify() == 0
    assert tool_host.seen == []


@pytest.mark.usefixtures("agent")
async def test_webhooks_are_erased_with_their_task(gateway, acme):
    async with a2a_client(gateway, acme, streaming=False) as client:
        task = await send(client, message())
        await client.create_task_push_notification_config(config(task, token=SECRET))

    erased = await gateway.ask("DELETE", acme, f"/v1/conversations/{task.context_id}")

    assert erased.status == 200
    assert await in_database(PushConfig.objects.count) == 0
