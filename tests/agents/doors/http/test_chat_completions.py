"""`POST /v1/chat/completions`: what a tenant's program sees."""

import json

import openai
import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from tests.fakes.model_server import Behaviour, ModelServer
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database, ledger

pytestmark = pytest.mark.usefixtures("tiny")


ASKED = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
SAME_ID = {"x-request-id": "mine-1"}


async def test_it_answers_as_the_engine_does(gateway, acme, engine):
    engine.behave(Behaviour(tokens=3))

    answer = await gateway.chat(acme)

    body = answer.json()
    assert answer.status == 200
    assert body["choices"][0]["message"]["content"] == "tok0 tok1 tok2"
    assert body["model"] == "tiny"


async def test_it_streams_every_token_and_ends_with_done(gateway, acme, engine):
    engine.behave(Behaviour(tokens=5))

    answer = await gateway.chat(acme, stream=True)

    *chunks, last = answer.events
    text = "".join(json.loads(c)["choices"][0]["delta"].get("content") or "" for c in chunks)
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["x-accel-buffering"] == "no"
    assert text.split() == ["tok0", "tok1", "tok2", "tok3", "tok4"]
    assert last == "[DONE]"


async def test_a_stream_holds_no_chunk_without_choices_unless_usage_was_asked_for(gateway, acme):
    plain = await gateway.chat(acme, stream=True)
    asked = await gateway.chat(acme, stream=True, stream_options={"include_usage": True})

    chunks = [json.loads(event) for event in plain.events[:-1]]
    with_usage = [json.loads(event) for event in asked.events[:-1]]
    assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)
    assert with_usage[-1]["choices"] == []
    assert with_usage[-1]["usage"]["completion_tokens"] == 8


async def test_the_ledger_holds_what_the_engine_counted(gateway, acme, engine):
    engine.behave(Behaviour(tokens=7))

    await gateway.chat(acme)
    await gateway.chat(acme, stream=True)

    plain, streamed = await ledger(rows=2)
    sent = [record.usage_written for record in engine.records]
    for event, usage in zip((plain, streamed), sent, strict=True):
        assert (event.prompt_tokens, event.completion_tokens) == (
            usage["prompt_tokens"], usage["completion_tokens"],
        )  # fmt: skip
        assert (event.status, event.estimated, event.kind) == ("completed", False, "final")
        assert event.tenant_id == acme.tenant.pk
    assert plain.ttft_ms is None
    assert streamed.ttft_ms > 0


async def test_an_agent_brings_its_instructions_and_presets(gateway, acme, engine, tiny):
    draft = {"instructions": "Be brief.", "parameters": {"temperature": 0.5, "max_tokens": 4}}
    await in_database(hire, acme.tenant, tiny, **draft)

    answer = await gateway.chat(acme, model="helper", temperature=0.0)

    asked = engine.records.rows[-1].body
    (event,) = await ledger()
    assert answer.json()["model"] == "helper"
    assert asked["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (asked["temperature"], asked["max_tokens"]) == (0.0, 4)
    assert (event.agent, event.agent_revision, event.route) == ("helper", 1, "tiny")


@pytest.mark.parametrize("name", ["priority", "chat_template", "cache_salt"])
async def test_parameters_that_are_not_allowed_never_reach_the_engine(gateway, acme, engine, name):
    answer = await gateway.chat(acme, **{name: 1})

    assert (answer.status, answer.error["param"]) == (400, name)
    assert answer.error["code"] == "unsupported_parameter"
    assert not engine.records


async def test_the_official_client_works_with_only_url_and_key_changed(gateway, acme):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=acme.key) as client:
        messages = [{"role": "user", "content": "hello"}]
        answer = await client.chat.completions.create(model="tiny", messages=messages)
        stream = await client.chat.completions.create(model="tiny", messages=messages, stream=True)
        text = [chunk.choices[0].delta.content or "" async for chunk in stream]
        models = [model.id async for model in client.models.list()]

    assert answer.choices[0].message.content == "".join(text)
    assert models == ["tiny"]


async def test_the_clients_request_id_is_echoed_and_stored_but_never_the_metering_id(gateway, acme):
    first = await gateway.post(acme, "/v1/chat/completions", json=ASKED, headers=SAME_ID)
    second = await gateway.post(acme, "/v1/chat/completions", json=ASKED, headers=SAME_ID)

    events = await ledger(rows=2)
    assert first.headers["x-request-id"] == second.headers["x-request-id"] == "mine-1"
    assert [event.client_request_id for event in events] == ["mine-1", "mine-1"]
    assert len({event.request_id for event in events}) == 2


async def test_an_unprintable_request_id_is_replaced(gateway, acme):
    answer = await gateway.post(
        acme, "/v1/chat/completions", json=ASKED, headers={"x-request-id": "a b"}
    )

    assert answer.headers["x-request-id"].startswith("req_")


async def test_an_engines_own_name_of_the_model_is_not_shown(gateway, acme, transactional_db):
    async with ModelServer(models=("/models/secret.gguf",)) as server:
        pool = await in_database(inference.create_pool, name="other", engine="openai")
        await in_database(
            static_endpoints.add_static_endpoint,
            pool=pool,
            address=server.url,
            model="/models/secret.gguf",
        )
        await in_database(inference.create_route, name="public", pool=pool)
        await gateway.worker.follower.catch_up()

        plain = await gateway.chat(acme, model="public")
        streamed = await gateway.chat(acme, model="public", stream=True)

    for answer in (plain, streamed):
        assert b"secret" not in answer.body
        assert b'"model":"public"' in answer.body
