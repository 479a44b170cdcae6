"""`POST /v1/embeddings`: vectors from routes that are made for it."""

import pytest

from inference import services as inference
from inference.endpoints import manual as static_endpoints
from tests.fixtures.gateway import ledger


@pytest.fixture
def vectors(tiny, engine):
    pool = inference.create_pool(name="vectors", engine="vllm")
    static_endpoints.add_static_endpoint(pool=pool, address=engine.url, model="tiny")
    return inference.create_route(name="vectors", pool=pool, purpose="embeddings")


async def test_it_answers_with_one_vector_for_each_text(vectors, gateway, acme):
    answer = await gateway.post(
        acme, "/v1/embeddings", json={"model": "vectors", "input": ["one", "two"]}
    )

    body = answer.json()
    assert answer.status == 200
    assert len(body["data"]) == 2
    assert body["model"] == "vectors"


async def test_it_is_metered(vectors, gateway, acme, engine):
    await gateway.post(acme, "/v1/embeddings", json={"model": "vectors", "input": "one"})

    (event,) = await ledger()
    assert event.door == "embeddings"
    assert event.prompt_tokens == engine.records.rows[0].usage_written["prompt_tokens"]
    assert (event.completion_tokens, event.estimated) == (0, False)


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "vectors"},
        {"model": "vectors", "input": ""},
        {"model": "vectors", "input": []},
        {"model": "vectors", "input": 7},
        {"model": "vectors", "input": [-1]},
        {"model": "vectors", "input": "x", "encoding_format": "hex"},
        {"model": "vectors", "input": "x", "dimensions": 0},
    ],
)
async def test_input_that_is_none_is_refused(vectors, gateway, acme, engine, asked):
    answer = await gateway.post(acme, "/v1/embeddings", json=asked)

    assert answer.status == 400
    assert not len(engine.records)


async def test_a_chat_model_makes_no_vectors_and_a_vector_model_no_chat(vectors, gateway, acme):
    chat = await gateway.chat(acme, model="vectors")
    vector = await gateway.post(acme, "/v1/embeddings", json={"model": "tiny", "input": "x"})

    assert (chat.status, vector.status) == (404, 404)
