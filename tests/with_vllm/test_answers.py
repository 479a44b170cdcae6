"""Chats of tenants with a real vLLM, through the gateway, and what the ledger says of them."""

import json
import urllib.error

import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from inference.engines.engine import metric_values, read_load
from inference.engines.vllm import VLLM
from tests.fixtures.gateway import eventually, ledger
from tests.fixtures.servers.serving import ask
from tests.with_vllm.conftest import ROUTE

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400), pytest.mark.xdist_group("vllm")]

SHORT = {"model": ROUTE, "max_tokens": 8, "temperature": 0}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
def announced(served, transactional_db):
    """What the engine told the console when it registered. With the database, since pytest-django
    moves tests without it to the end, and the engine would be started once more for them.
    """
    _, console = served
    return console.heard[0][1]


@pytest.fixture
def chat_route(announced):
    return make_route(announced, name=ROUTE, purpose="chat")


def make_route(announced, *, name, purpose):
    pool = inference.create_pool(name=name, engine="vllm")
    static_endpoints.add_static_endpoint(
        pool=pool,
        address=announced["address"],
        model=announced["model"],
        credential=announced["credential"],
    )
    return inference.create_route(name=name, pool=pool, purpose=purpose)


@pytest.fixture
def vector_route(announced):
    return make_route(announced, name="vectors", purpose="embeddings")


def metrics(announced):
    text = ask("/metrics", announced=announced).decode()
    return {
        name: sum(values)
        for name, values in metric_values(text, names=VLLM.metrics.every_name).items()
    }


def counted(announced):
    """Tokens of prompts and of answers that the engine has counted so far."""
    values = metrics(announced)
    return values["vllm:prompt_tokens_total"], values["vllm:generation_tokens_total"]


def counted_since(before, announced):
    now = counted(announced)
    return now[0] - before[0], now[1] - before[1]


async def test_a_whole_answer_is_metered_as_the_engine_counts(chat_route, gateway, acme, announced):
    before = counted(announced)

    answer = await gateway.chat(acme, "Name a colour.", **SHORT)

    usage = answer.json()["usage"]
    (event,) = await ledger()
    assert answer.json()["choices"][0]["message"]["content"]
    assert usage["completion_tokens"] > 0
    assert (event.prompt_tokens, event.completion_tokens) == counted_since(before, announced)
    assert event.prompt_tokens == usage["prompt_tokens"]
    assert not event.estimated


async def test_a_stream_is_metered_as_the_engine_counts(chat_route, gateway, acme, announced):
    before = counted(announced)

    answer = await gateway.chat(acme, "Name a colour.", **SHORT, **STREAM)

    *events, done = answer.events
    usage = json.loads(events[-1])["usage"]
    (event,) = await ledger()
    assert done == "[DONE]"
    assert usage["completion_tokens"] > 0
    assert (event.prompt_tokens, event.completion_tokens) == counted_since(before, announced)
    assert not event.estimated


async def test_a_stream_whose_client_leaves_ends_and_costs_what_was_made(
    chat_route, gateway, acme, announced
):
    messages = [{"role": "user", "content": "Tell a long story."}]
    body = {**SHORT, "max_tokens": 1500, "stream": True, "messages": messages}
    url = f"{gateway.url}/v1/chat/completions"
    before = counted(announced)

    async with gateway.client.post(url, json=body, headers=acme.bearer) as answer:
        for _ in range(20):
            await answer.content.readline()

    (event,) = await ledger()
    _, made = counted_since(before, announced)
    assert 0 < event.completion_tokens <= made < 1500
    assert not event.estimated
    await eventually(lambda: metrics(announced)["vllm:num_requests_running"] == 0)


async def test_each_tenant_pays_for_its_own(chat_route, gateway, acme, rival):
    answers = {
        acme.tenant.pk: await gateway.chat(acme, "Hello.", **SHORT),
        rival.tenant.pk: await gateway.chat(rival, "Hello, how are you today?", **SHORT),
    }

    told = {tenant: answer.json()["usage"] for tenant, answer in answers.items()}
    for event in await ledger(rows=2):
        usage = told.pop(event.tenant_id)
        assert event.prompt_tokens == usage["prompt_tokens"]
        assert event.completion_tokens == usage["completion_tokens"]
    assert not told


async def test_a_chat_route_makes_no_vectors(chat_route, gateway, acme):
    asked = {"model": ROUTE, "input": "one"}
    answer = await gateway.post(acme, "/v1/embeddings", json=asked)

    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"


async def test_a_chat_model_on_a_route_for_vectors_fails_and_costs_nothing(
    vector_route, gateway, acme
):
    asked = {"model": "vectors", "input": "one"}
    answer = await gateway.post(acme, "/v1/embeddings", json=asked)

    (event,) = await ledger()
    assert (answer.status, answer.error["code"]) == (502, "upstream_failed")
    assert (event.status, event.prompt_tokens, event.completion_tokens) == ("failed", 0, 0)


def test_nobody_is_served_without_the_credential(announced):
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask("/v1/models", announced={**announced, "credential": "guess"})


def test_its_gauges_have_the_names_that_heartbeats_read(announced):
    load = read_load(VLLM.metrics, metrics=ask("/metrics", announced=announced).decode())

    assert load.running + load.waiting == 0
    assert load.kv_cache_used is not None
    assert load.prompt_tokens is not None
    assert load.generation_tokens is not None
    assert "vllm:num_requests_running" in metrics(announced)


def test_it_announces_its_version_and_how_much_it_takes(announced):
    assert announced["engine"] == "vllm"
    assert announced["engine_version"][0].isdigit()
    assert announced["max_concurrency"] == 4
