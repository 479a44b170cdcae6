"""Tenants reach only the two paths of an engine that the gateway itself requests."""

import asyncio

PATHS = [
    "/tokenize",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/sleep",
    "/reset_prefix_cache",
    "/invocations",
    "/collective_rpc",
    "/v1/score",
    "/v1/chat/completions/../../tokenize",
    "/v1/chat/completions/%2e%2e/tokenize",
    "/v1/models/..%2f..%2ftokenize",
    "//tokenize",
]


async def test_no_other_path_of_an_engine_is_ever_called(gateway, acme, engine, tiny):
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    asking = {**body, "path": "/tokenize"}

    for path in PATHS:
        answer = await gateway.post(acme, path, json=asking)
        assert answer.status in {400, 404, 405} or path.startswith("/v1/chat/completions"), path
    for _ in range(5):
        answer = await gateway.post(acme, "/v1/chat/completions?path=/tokenize", json=body)
        if answer.status != 503:
            break  # not rejected because of the load of the machine
        await asyncio.sleep(1)
    refused = await gateway.post(acme, "/v1/chat/completions", json=asking)

    assert refused.error["param"] == "path"
    assert answer.status == 200, answer.body
    assert {record.path for record in engine.records} == {"/v1/chat/completions"}
