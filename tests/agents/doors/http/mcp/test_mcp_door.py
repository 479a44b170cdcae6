"""`/mcp`: keys, origins, methods and messages that are none."""

import json
from io import BytesIO

import pytest

from agents.doors.http.mcp import library
from tests.fixtures.cast import hire, issue
from tests.fixtures.gateway import in_database, running_gateway

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
JSON = {"accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "helper", "arguments": {"message": "hello"}},
}
NESTED = json.loads("[" * 80 + "]" * 80)
HOME = {"origin": "https://console.acme.example"}


@pytest.fixture
def helper(acme, tiny):
    return hire(acme.tenant, tiny, offered_over_mcp=True)


@pytest.mark.parametrize("path", ["/mcp", "/mcp/helper"])
async def test_without_a_key_nothing_is_served(gateway, helper, path):
    answer = await gateway.post(None, path, json=PING, headers=JSON)

    assert (answer.status, answer.error["code"]) == (401, "unauthenticated")


async def test_a_key_without_the_scope_is_refused(gateway, helper, acme):
    other = await in_database(issue, acme.tenant, scopes=["embeddings"])

    answer = await gateway.post(other, "/mcp", json=PING, headers=JSON)

    assert (answer.status, answer.error["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/mcp/helper"])
async def test_each_message_is_served_by_itself(gateway, helper, acme, path):
    answer = await gateway.post(acme, path, json=PING, headers=JSON)

    assert (answer.status, answer.json()["result"]) == (200, {})
    assert "mcp-session-id" not in answer.headers
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_there_is_no_stream_and_no_session(gateway, helper, acme, method):
    answer = await gateway.ask(method, acme, "/mcp", headers=JSON)

    assert (answer.status, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"jsonrpc": "2.0"}', b"\xff" * 99])
async def test_a_message_that_is_none_is_refused(gateway, helper, acme, body):
    answer = await gateway.post(
        acme, "/mcp", data=body, headers={**JSON, "content-type": "application/json"}
    )

    assert answer.status == 400


@pytest.mark.parametrize(
    ("arguments", "code"),
    [({"message": "a\0b"}, "invalid_parameter"), ({"message": NESTED}, "invalid_json")],
)
async def test_a_message_that_cannot_be_stored_or_is_nested_too_deep_is_refused(
    gateway, helper, acme, arguments, code
):
    call = {**CALL, "params": {"name": "helper", "arguments": arguments}}

    answer = await gateway.post(acme, "/mcp", json=call, headers=JSON)

    assert (answer.status, answer.error["code"]) == (400, code)


async def test_a_large_message_is_refused(gateway, helper, acme, settings):
    large = BytesIO(b" " * (settings.MAX_BODY_BYTES + 1))

    answer = await gateway.post(acme, "/mcp", data=large, headers=JSON)

    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


async def test_a_page_of_another_site_is_refused(gateway, helper, acme):
    answer = await gateway.post(acme, "/mcp", json=PING, headers={**JSON, **HOME})

    assert (answer.status, answer.error["code"]) == (403, "origin_not_allowed")


async def test_a_page_of_an_allowed_origin_is_served(settings, helper, acme):
    settings.ALLOWED_ORIGINS = [HOME["origin"]]
    async with running_gateway() as gateway:
        answer = await gateway.post(acme, "/mcp", json=PING, headers={**JSON, **HOME})

    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == HOME["origin"]


async def test_without_the_library_the_door_says_how_to_install_it(
    gateway, helper, acme, monkeypatch
):
    monkeypatch.setattr(library, "is_installed", lambda: False)

    answer = await gateway.post(acme, "/mcp", json=PING, headers=JSON)

    assert (answer.status, answer.error["code"]) == (501, "not_installed")
    assert "tenantry[mcp]" in answer.error["message"]


async def test_any_worker_serves_any_message_of_a_client(gateway, helper, acme):
    """A client with a handshake, whose messages a load balancer sends to two workers."""
    async with running_gateway() as other:
        greeted = await gateway.post(acme, "/mcp", json=INITIALIZE, headers=JSON)
        version = {"mcp-protocol-version": greeted.json()["result"]["protocolVersion"]}
        ready = await other.post(acme, "/mcp", json=INITIALIZED, headers={**JSON, **version})
        called = await other.post(acme, "/mcp", json=CALL, headers={**JSON, **version})

    assert (greeted.status, ready.status, called.status) == (200, 202, 200)
    assert called.json()["result"]["isError"] is False
