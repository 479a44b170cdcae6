"""`wait`: the reply with the correlation id, an error in time, and nothing that is left behind."""

import asyncio

import pytest
from django.utils import timezone

from agents.models import Delivery, Run
from tenants.limits import services as limit_services
from tenants.models import Quota
from tests.agents.messages.conftest import path_of, show, until
from tests.fakes.model_server import Behaviour
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.nodes import running_node

pytestmark = pytest.mark.usefixtures("readers")


async def ask(gateway, member, agent="reader", **members):
    body = {"content": "How many?", "wait": True, "timeout_seconds": 60, **members}
    return await gateway.post(member, path_of(agent), json=body)


def channels(gateway):
    """The channels to which this worker is subscribed, as often as it is."""
    listeners = gateway.worker.pubsub._subscriber._listeners
    return {name: len(each) for name, each in listeners.items() if "conversation" in name and each}


async def test_a_client_that_waits_gets_the_reply(gateway, acme, engine):
    engine.behave(Behaviour(script=("Forty-two.",)))
    async with running_node():
        answer = await ask(gateway, acme, correlation_id="q-1")

    body = answer.json()
    assert answer.status == 200
    assert body["reply"]["text"] == "Forty-two."
    assert body["reply"]["correlation_id"] == body["correlation_id"] == "q-1"
    assert body["reply"]["response_status"] == "completed"
    assert body["deliveries"][0]["state"] == "completed"
    assert body["reply"]["response_id"] == body["deliveries"][0]["response_id"]
    assert channels(gateway) == {}


async def test_waiters_for_many_replies_get_their_own(gateway, acme, engine):
    engine.behave(*(Behaviour(tokens=n) for n in range(1, 7)))
    async with running_node():
        answers = await asyncio.gather(
            *(ask(gateway, acme, correlation_id=f"q-{n}") for n in range(6))
        )

    bodies = [each.json() for each in answers]
    assert [each["reply"]["correlation_id"] for each in bodies] == [f"q-{n}" for n in range(6)]
    texts = {each["reply"]["text"] for each in bodies}
    assert len(texts) == 6


async def test_a_repeated_message_is_waited_for_again(gateway, acme, engine):
    engine.behave(Behaviour(script=("Forty-two.",)))
    async with running_node():
        first = await ask(gateway, acme, message_id="m-1")
        again = await ask(gateway, acme, message_id="m-1")

    assert first.json()["reply"] == again.json()["reply"]
    assert await in_database(Run.objects.count) == 1


async def test_after_the_timeout_the_message_is_still_delivered(gateway, acme):
    answer = await ask(gateway, acme, timeout_seconds=1)

    assert (answer.status, answer.error["code"]) == (504, "reply_timeout")
    delivery = await in_database(lambda: Delivery.objects.select_related("message").get())
    assert delivery.state == "delivered"
    assert delivery.message.public_id in answer.error["message"]
    assert channels(gateway) == {}


async def test_a_client_that_disconnects_ends_only_the_wait(gateway, acme, engine):
    request = asyncio.create_task(ask(gateway, acme))

    async def waits():
        return channels(gateway)

    await until(waits)
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    async def has_ended():
        return channels(gateway) == {}

    await until(has_ended)
    run = await in_database(Run.objects.get)
    assert (run.state, run.cancel_requested_at) == ("queued", None)


async def test_a_run_that_fails_for_good_is_an_error(gateway, acme):
    rule = Quota(tenant=acme.tenant, unit="requests", limit=1, period="month")
    await in_database(limit_services.save_quota, rule=rule, now=timezone.now())
    async with running_node():
        assert (await ask(gateway, acme)).status == 200
        answer = await ask(gateway, acme)

    assert (answer.status, answer.error["code"]) == (502, "reply_failed")
    assert "quota_exhausted" in answer.error["message"]
    assert channels(gateway) == {}


async def test_a_reply_of_another_tenants_message_is_not_there(gateway, acme, rival, engine):
    engine.behave(Behaviour(script=("Forty-two.",)))
    async with running_node():
        body = (await ask(gateway, acme)).json()

    assert (await gateway.get(rival, f"/v1/messages/{body['id']}")).status == 404
    response = body["reply"]["response_id"]
    assert (await gateway.get(rival, f"/v1/responses/{response}")).status == 404
    assert (await show(gateway, acme, body))["correlation_id"] == body["correlation_id"]
