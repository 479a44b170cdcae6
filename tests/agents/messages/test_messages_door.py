"""`/v1/agents/{agent}/messages`: accepted once, delivered as a run, and closed to other tenants."""

import asyncio

import pytest
from django.utils import timezone

from agents import services
from agents.models import AgentMessage, Conversation, Delivery, Inbox, Run
from agents.tasks import deliver_messages
from tenants import services as tenants
from tenants.models import ApiKey
from tests.agents.messages.conftest import path_of, pause, send, show
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import Member, hire, issue
from tests.fixtures.gateway import in_database
from tests.fixtures.runs.nodes import running_node
from tests.fixtures.runs.runs import run_reaches, run_row

pytestmark = pytest.mark.usefixtures("readers")


async def test_a_message_starts_a_run_of_its_receiver(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3))
    async with running_node():
        sent = await send(gateway, acme, metadata={"a": "b"}, correlation_id="c-1")
        (delivery,) = sent["deliveries"]
        await run_reaches(delivery["response_id"], "completed", within=60)
        await in_database(deliver_messages)
        shown = await show(gateway, acme, sent)

    assert (sent["object"], sent["sender"], sent["topic"]) == ("agent.message", None, None)
    assert (sent["content"], sent["correlation_id"], sent["hops"]) == ("Hello", "c-1", 0)
    assert (delivery["agent"], delivery["state"], delivery["attempts"]) == (
        "reader",
        "delivered",
        1,
    )
    assert shown["deliveries"][0]["state"] == "completed"
    response = (await gateway.get(acme, f"/v1/responses/{delivery['response_id']}")).json()
    assert response["status"] == "completed"
    assert response["metadata"] == {"message": sent["id"], "correlation_id": "c-1"}


async def test_the_messages_of_a_sender_to_an_agent_are_one_conversation(gateway, acme, engine):
    engine.behave(Behaviour(tokens=1))
    async with running_node():
        made = [await send(gateway, acme, content=f"Number {n}") for n in range(3)]
        other = await send(gateway, acme, agent="writer")
        for each in (*made, other):
            await run_reaches(each["deliveries"][0]["response_id"], "completed", within=60)

    rows = [await run_row(each["deliveries"][0]["response_id"]) for each in (*made, other)]
    assert len({row.conversation_id for row in rows[:3]}) == 1
    assert rows[3].conversation_id != rows[0].conversation_id
    assert await in_database(Inbox.objects.count) == 2
    talk = await in_database(Conversation.objects.get, pk=rows[0].conversation_id)
    items = await gateway.get(acme, f"/v1/conversations/{talk.public_id}/items?order=asc")
    texts = [each["content"][0]["text"] for each in items.json()["data"] if each["role"] == "user"]
    assert texts == ["Number 0", "Number 1", "Number 2"]


async def test_a_repeated_message_id_sends_nothing_and_another_message_is_a_mismatch(gateway, acme):
    first = await send(gateway, acme, message_id="order-1")
    again = await gateway.post(
        acme, path_of("reader"), json={"content": "Hello", "message_id": "order-1"}
    )
    other = await gateway.post(
        acme, path_of("reader"), json={"content": "Bye", "message_id": "order-1"}
    )

    assert (again.status, again.json()["id"]) == (200, first["id"])
    assert (other.status, other.error["code"]) == (409, "idempotency_mismatch")
    assert await in_database(Run.objects.count) == 1


async def test_requests_at_the_same_moment_with_one_id_send_one_message(gateway, acme):
    body = {"content": "Hello", "message_id": "order-1"}

    answers = await asyncio.gather(
        *(gateway.post(acme, path_of("reader"), json=body) for _ in range(8))
    )

    assert {each.status for each in answers} <= {200, 202}
    assert len({each.json()["id"] for each in answers}) == 1
    assert await in_database(Run.objects.count) == 1


async def test_a_rotated_key_repeats_the_message_of_the_key_before(gateway, acme):
    first = await send(gateway, acme, message_id="order-1")
    renewed = await in_database(rotated, acme)

    again = await gateway.post(
        renewed, path_of("reader"), json={"content": "Hello", "message_id": "order-1"}
    )

    assert (again.status, again.json()["id"]) == (200, first["id"])


def rotated(member):
    key = ApiKey.objects.get(name="test", tenant=member.tenant)
    issued = tenants.rotate_key(key=key, now=timezone.now())
    return Member(tenant=member.tenant, key=issued.secret)


async def test_another_tenants_agents_and_messages_do_not_exist(gateway, acme, rival, tiny):
    await in_database(hire, rival.tenant, tiny, slug="theirs")
    sent = await send(gateway, acme)

    to_theirs = await gateway.post(acme, path_of("theirs"), json={"content": "Hello"})
    to_nobody = await gateway.post(acme, path_of("nobody"), json={"content": "Hello"})
    theirs = await gateway.get(rival, f"/v1/messages/{sent['id']}")
    unknown = await gateway.get(rival, f"/v1/messages/msg_{'0' * 30}")

    assert (to_theirs.status, to_theirs.error["code"]) == (404, "model_not_found")
    assert to_theirs.error["message"].replace("theirs", "nobody") == to_nobody.error["message"]
    assert (theirs.status, theirs.error) == (unknown.status, unknown.error)
    assert theirs.status == 404
    assert await in_database(AgentMessage.objects.count) == 1


async def test_one_message_id_of_two_tenants_is_two_messages(gateway, acme, rival, tiny):
    await in_database(hire, rival.tenant, tiny, slug="reader")

    ours = await send(gateway, acme, message_id="order-1")
    theirs = await send(gateway, rival, message_id="order-1", content="Theirs")

    assert ours["id"] != theirs["id"]
    assert await in_database(lambda: set(Delivery.objects.values_list("tenant", flat=True))) == {
        acme.tenant.pk,
        rival.tenant.pk,
    }


async def test_an_agent_that_the_key_may_not_use_does_not_exist(gateway, acme):
    limited = await in_database(issue, acme.tenant, allowed_models=["writer"])

    refused = await gateway.post(limited, path_of("reader"), json={"content": "Hello"})
    await send(gateway, limited, agent="writer")

    assert (refused.status, refused.error["code"]) == (404, "model_not_found")


async def test_an_unpublished_agent_does_not_exist(gateway, acme, tiny):
    await in_database(
        services.create_agent, tenant=acme.tenant, slug="draft", name="Draft", route=tiny
    )

    refused = await gateway.post(acme, path_of("draft"), json={"content": "Hello"})

    assert (refused.status, refused.error["code"]) == (404, "model_not_found")


async def test_a_message_to_a_paused_agent_waits_for_its_next_attempt(gateway, acme):
    await in_database(pause, "reader")

    sent = await send(gateway, acme)

    (delivery,) = sent["deliveries"]
    assert (delivery["state"], delivery["attempts"]) == ("pending", 1)
    assert (delivery["error"]["code"], delivery["response_id"]) == ("agent_paused", None)
    assert delivery["next_attempt_at"] >= sent["created_at"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"content": None}, (400, "missing_parameter", "content")),
        ({"content": ""}, (400, "invalid_parameter", "content")),
        ({"content": "  \n"}, (400, "invalid_parameter", "content")),
        ({"content": "a\0b"}, (400, "invalid_parameter", None)),
        ({"content": 7}, (400, "invalid_parameter", "content")),
        ({"content": "x" * 65_537}, (413, "body_too_large", None)),
        ({"content": "x" * 300_000}, (413, "body_too_large", None)),
        ({"content": "ü" * 40_000}, (413, "body_too_large", None)),
        ({"message_id": ""}, (400, "invalid_parameter", "message_id")),
        ({"message_id": "x" * 129}, (400, "invalid_parameter", "message_id")),
        ({"timeout_seconds": 0}, (400, "invalid_parameter", "timeout_seconds")),
        ({"timeout_seconds": 301}, (400, "invalid_parameter", "timeout_seconds")),
        ({"sender": "writer"}, (400, "unsupported_parameter", "sender")),
        ({"hops": 0}, (400, "unsupported_parameter", "hops")),
    ],
)
async def test_a_message_that_is_not_valid_is_refused_and_leaves_nothing(
    gateway, acme, members, expected
):
    body = {"content": "Hello", **members}
    answer = await gateway.post(
        acme, path_of("reader"), json={k: v for k, v in body.items() if v is not None}
    )

    assert (answer.status, answer.error["code"], answer.error["param"]) == expected
    assert await in_database(AgentMessage.objects.count) == 0


async def test_a_message_has_as_many_bytes_as_it_may(gateway, acme):
    sent = await send(gateway, acme, content="x" * 65_536)

    assert len(sent["content"]) == 65_536


async def test_without_a_key_nothing_is_sent_or_shown(gateway):
    sent = await gateway.post(None, path_of("reader"), json={"content": "Hello"})
    shown = await gateway.get(None, f"/v1/messages/msg_{'0' * 30}")

    assert (sent.status, shown.status) == (401, 401)


async def test_the_rate_of_messages_of_a_tenant_is_limited(gateway, acme, rival, tiny):
    await in_database(hire, rival.tenant, tiny, slug="reader")
    limit_rate(gateway, 3)
    for _ in range(3):
        await send(gateway, acme)

    refused = await gateway.post(acme, path_of("reader"), json={"content": "Hello"})

    assert (refused.status, refused.error["code"]) == (429, "message_rate_limit")
    assert "retry-after" in refused.headers
    await send(gateway, rival)
    metrics = (await gateway.get(None, "/metrics")).body
    assert b'tenantry_messages_total{outcome="message_rate_limit"}' in metrics


def limit_rate(gateway, messages):
    object.__setattr__(gateway.worker.messages._limits, "max_per_minute", messages)


async def test_a_full_queue_delays_the_delivery_only(gateway, acme):
    object.__setattr__(gateway.worker.messages._limits, "max_queued_runs", 1)
    await send(gateway, acme)

    sent = await send(gateway, acme)

    assert sent["deliveries"][0]["state"] == "pending"
    assert sent["deliveries"][0]["error"]["code"] == "queue_full"
