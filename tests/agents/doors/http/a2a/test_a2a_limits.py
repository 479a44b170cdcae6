"""Limits over A2A: the refusals of the other doors, in the forms of the two bindings."""

import io
import json

import pytest
from django.utils import timezone

from agents.models import Conversation, Run
from tenants.limits import services as limit_services
from tenants.models import Quota
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.runs.a2a import BINDINGS, a2a_client, address, message, offer, send

VERSION = {"a2a-version": "1.0"}
PLAIN = {**VERSION, "content-type": "application/json"}
MESSAGE = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]}}


@pytest.fixture
def used_up(acme, tiny):
    """An agent of a tenant that may send one request."""
    offer(acme.tenant, tiny)
    quota = Quota(tenant=acme.tenant, unit="requests", limit=1, period="day")
    limit_services.save_quota(rule=quota, now=timezone.now())


def request_of(binding, *, stream):
    if binding == "JSONRPC":
        method = "SendStreamingMessage" if stream else "SendMessage"
        return "", {"jsonrpc": "2.0", "id": "r1", "method": method, "params": MESSAGE}
    return ("/message:stream" if stream else "/message:send"), MESSAGE


@pytest.mark.usefixtures("used_up")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_message_over_the_quota_is_refused_and_leaves_nothing(
    gateway, acme, binding, stream
):
    async with a2a_client(gateway, acme, streaming=False) as client:
        await send(client, message())
    await ledger()

    path, body = request_of(binding, stream=stream)
    answer = await gateway.post(acme, address(acme) + path, json=body, headers=VERSION)

    problem = answer.json()
    details = problem["error"]["data" if binding == "JSONRPC" else "details"]
    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0
    assert details[0]["reason"] == "QUOTA_EXHAUSTED"
    assert binding != "JSONRPC" or problem["id"] == "r1"
    assert binding == "JSONRPC" or problem["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert await in_database(Run.objects.count) == 1
    assert await in_database(Conversation.objects.count) == 1


@pytest.mark.usefixtures("used_up")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_text_that_cannot_be_stored_is_refused(gateway, acme, binding, stream):
    path, body = request_of(binding, stream=stream)
    nul = json.dumps(body).replace("hello", "a\\u0000b")

    answer = await gateway.post(acme, address(acme) + path, data=nul, headers=PLAIN)

    details = answer.json()["error"]["data" if binding == "JSONRPC" else "details"]
    assert (answer.status, details[0]["reason"]) == (400, "INVALID_PARAMETER")
    assert await in_database(Run.objects.count) == 0


@pytest.mark.usefixtures("used_up")
async def test_a_body_that_is_too_large_or_no_json_is_refused(gateway, acme):
    big = b"x" * (gateway.worker.gateway.max_body_bytes + 1)

    too_large = await gateway.post(acme, address(acme), data=io.BytesIO(big), headers=VERSION)
    no_json = await gateway.post(acme, address(acme), data=b"{", headers=VERSION)
    old = await gateway.post(acme, address(acme), json=request_of("JSONRPC", stream=False)[1])
    batch = await gateway.post(acme, address(acme), json=[], headers=VERSION)
    other = await gateway.post(
        acme, address(acme), json={"jsonrpc": "2.0", "id": 1, "method": "Hack"}, headers=VERSION
    )

    assert too_large.status == 413
    assert no_json.error["code"] == -32700
    assert old.error["code"] == -32009
    assert batch.error["code"] == -32600
    assert other.error["code"] == -32601
