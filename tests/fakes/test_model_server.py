"""The fake tells the truth about what it sent, and goes wrong in the ways it is told to."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import aiohttp
import pytest

from tests.fakes.model_server import Behaviour, Fault, ModelServer, Outcome, UsageForm, in_thread

HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "say hello"}]}
STREAMED = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture
async def server():
    async with ModelServer() as server:
        yield server


@pytest.fixture
async def client(server):
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def ask(client, body):
    async with client.post("/v1/chat/completions", json=body) as response:
        return await response.read()


def fetch_json(url, body=None):
    with urlopen(url, None if body is None else json.dumps(body).encode()) as response:
        return json.load(response)


def events(raw):
    lines = [line for line in raw.decode().split("\n") if line.strip()]
    return [json.loads(line[6:]) for line in lines if "[DONE]" not in line]


async def test_a_complete_answer_counts_its_tokens(server, client):
    answer = json.loads(await ask(client, HELLO))

    assert answer["choices"][0]["message"]["content"] == "tok0 tok1 tok2 tok3 tok4 tok5 tok6 tok7"
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 10, "completion_tokens": 8}
    assert server.records.last.tokens_written == 8
    assert server.records.last.outcome is Outcome.FINISHED


async def test_max_tokens_cuts_the_answer_and_says_length(client):
    answer = json.loads(await ask(client, {**HELLO, "max_tokens": 2}))

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 2


async def test_usage_comes_last_without_choices(client):
    *rest, last = events(await ask(client, STREAMED))

    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 8
    assert not any("usage" in chunk for chunk in rest)


async def test_continuous_usage_stands_on_every_chunk(client):
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = events(await ask(client, {**STREAMED, "stream_options": options}))

    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        8,
    ]


async def test_continuous_usage_alone_means_nothing(client):
    options = {"continuous_usage_stats": True}
    chunks = events(await ask(client, {**STREAMED, "stream_options": options}))

    assert not any("usage" in chunk for chunk in chunks)


async def test_a_prompt_may_ask_for_a_behaviour(server, client):
    context = [{"role": "user", "content": "hi [fake tokens=3 usage=zero]"}]

    answer = json.loads(await ask(client, {**HELLO, "messages": context}))

    assert answer["usage"] == {"prompt_tokens": 0, "total_tokens": 0, "completion_tokens": 0}
    assert server.records.last.tokens_written == 3


async def test_it_notices_that_the_client_left(server, client):
    server.behave(Behaviour(tokens=1000, token_seconds=0.01))
    async with client.post("/v1/chat/completions", json=STREAMED) as response:
        await response.content.readuntil(b"tok2")
        response.close()

    await server.idle()
    record = server.records.last
    assert record.outcome is Outcome.ABORTED
    assert record.client_left_at is not None
    assert 3 <= record.tokens_written < 20


async def test_it_notices_that_the_client_left_before_the_first_byte(server, client):
    server.behave(Behaviour(fault=Fault.STALLS))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(client, HELLO), 0.1)

    await server.idle()
    assert server.records.last.outcome is Outcome.ABORTED


async def test_it_dies_after_some_chunks(server, client):
    server.behave(Behaviour(fault=Fault.DIES_AFTER, after_chunks=3))
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(client, STREAMED)

    assert server.records.last.tokens_written == 3
    assert server.records.last.outcome is Outcome.CUT


async def test_it_closes_before_any_byte(server, client):
    server.behave(Behaviour(fault=Fault.CLOSES))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(client, HELLO)

    assert server.records.last.outcome is Outcome.CUT


async def test_it_fails_once_and_is_well_again(server, client):
    server.behave(Behaviour(fault=Fault.REFUSES, status=503, retry_after="2"), Behaviour())

    async with client.post("/v1/chat/completions", json=HELLO) as response:
        assert response.status == 503
        assert response.headers["retry-after"] == "2"
    async with client.post("/v1/chat/completions", json=HELLO) as response:
        assert response.status == 200


@pytest.mark.parametrize("form", [UsageForm.ABSENT, UsageForm.NULL])
async def test_usage_can_be_missing(server, client, form):
    server.behave(Behaviour(usage=form))

    answer = json.loads(await ask(client, HELLO))

    assert answer.get("usage") is None
    assert ("usage" in answer) is (form is UsageForm.NULL)


async def test_half_a_chunk_ends_like_a_whole_stream(server, client):
    server.behave(Behaviour(fault=Fault.TRUNCATED_JSON, after_chunks=2))

    raw = await ask(client, STREAMED)

    with pytest.raises(json.JSONDecodeError):
        events(raw)
    assert server.records.last.tokens_written == 2


async def test_an_endless_line_has_no_line_end(server, client):
    server.behave(Behaviour(fault=Fault.ENDLESS_LINE))

    raw = await ask(client, STREAMED)

    assert len(raw) > 10_000_000
    assert b"\n" not in raw


async def test_characters_may_arrive_in_two_reads(server, client):
    server.behave(Behaviour(splits_utf8=True, word="tök", tokens=2))

    async with client.post("/v1/chat/completions", json=STREAMED) as response:
        reads = [data async for data in response.content.iter_any()]

    assert any(read[-1:] == "ö".encode()[:1] for read in reads)
    assert "tök0" in b"".join(reads).decode()


@pytest.mark.parametrize("behaviour", [Behaviour(crlf=True), Behaviour(gzip=True)])
async def test_line_ends_and_compression_change_no_content(server, client, behaviour):
    server.behave(behaviour)

    assert events(await ask(client, STREAMED))[-1]["usage"]["completion_tokens"] == 8


async def test_a_huge_header_is_more_than_a_client_takes(server, client):
    server.behave(Behaviour(huge_header=True))

    with pytest.raises(aiohttp.ClientResponseError):
        await ask(client, HELLO)


async def test_a_key_can_be_required():
    async with ModelServer(api_key="engine-key") as server, aiohttp.ClientSession() as client:
        async with client.post(f"{server.url}/v1/chat/completions", json=HELLO) as refused:
            assert refused.status == 401
        async with client.get(f"{server.url}/health") as health:
            assert health.status == 200


async def test_it_speaks_to_the_openai_client(server):
    import openai

    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any") as client:
        stream = await client.chat.completions.create(**HELLO, stream=True)
        said = [chunk.choices[0].delta.content or "" async for chunk in stream]
        vectors = await client.embeddings.create(model="tiny", input=["one two", "three"])

    assert "".join(said).startswith("tok0 tok1")
    assert len(vectors.data[0].embedding) == 8
    assert vectors.usage.prompt_tokens == 3


async def test_its_metrics_have_vllms_names(client):
    await ask(client, HELLO)

    async with client.get("/metrics") as response:
        text = await response.text()

    assert 'vllm:num_requests_running{model_name="tiny"} 0.0' in text
    assert 'vllm:generation_tokens_total{model_name="tiny"} 8.0' in text


def test_it_serves_beside_a_test_without_a_loop():
    with in_thread(ModelServer(models=("small", "large"))) as server:
        listed = fetch_json(f"{server.url}/v1/models")

    assert [model["id"] for model in listed["data"]] == ["small", "large"]


def test_as_a_process_it_is_steered_over_http():
    script = Path(__file__).with_name("model_server.py")
    command = [sys.executable, script, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        url = process.stdout.readline().decode().split()[-1]
        fetch_json(f"{url}/__behaviour", {"tokens": 5, "fault": "none"})
        fetch_json(f"{url}/v1/chat/completions", HELLO)
        (record,) = fetch_json(f"{url}/__records")
        process.terminate()

    assert record["tokens_written"] == 5
    assert record["body"] == HELLO
