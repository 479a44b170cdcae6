"""Each failure of an engine has its own error, and releases all resources."""

import asyncio
import json
import time

import aiohttp
import pytest

from tests.fakes.model_server import Behaviour, Fault, ModelServer, Outcome, UsageForm
from tests.fixtures.cast import add_endpoint, serve
from tests.fixtures.gateway import eventually, in_database, ledger

pytestmark = pytest.mark.usefixtures("tiny")

FAILURES = {
    "an error": (Behaviour(fault=Fault.REFUSES, status=500), 502, "upstream_failed"),
    "overload": (Behaviour(fault=Fault.REFUSES, status=503), 503, "overloaded"),
    "too many requests": (Behaviour(fault=Fault.REFUSES, status=429), 429, "upstream_rate_limited"),
    "a closed connection": (Behaviour(fault=Fault.CLOSES), 502, "upstream_failed"),
    "a page of HTML": (Behaviour(fault=Fault.GARBAGE), 502, "upstream_failed"),
    "a compressed answer": (Behaviour(gzip=True), 502, "upstream_failed"),
    "a huge header": (Behaviour(huge_header=True), 502, "upstream_failed"),
    "half an object": (Behaviour(fault=Fault.TRUNCATED_JSON), 502, "upstream"),
}


BEFORE_THE_FIRST_BYTE = [
    *((case, False) for case in FAILURES),
    # In a stream, half an object comes after the first byte.
    *((case, True) for case in FAILURES if case != "half an object"),
]


@pytest.mark.parametrize(("case", "stream"), BEFORE_THE_FIRST_BYTE)
async def test_a_failure_before_the_first_byte_has_its_status(gateway, acme, engine, case, stream):
    behaviour, status, code = FAILURES[case]
    engine.behave(behaviour)

    answer = await gateway.chat(acme, stream=stream)

    assert answer.status == status
    assert answer.error["code"].startswith(code)
    assert "127.0.0.1" not in answer.error["message"]
    assert gateway.worker.in_flight.total() == 0


async def test_what_the_engine_says_against_the_request_is_told(gateway, acme, engine):
    said = '{"error": {"message": "This model\'s maximum context length is 8 tokens."}}'
    engine.behave(Behaviour(fault=Fault.REFUSES, status=400, error_body=said))

    answer = await gateway.chat(acme)

    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert "8 tokens" in answer.error["message"]


MIDDLE = {
    "the connection dies": Behaviour(tokens=9, fault=Fault.DIES_AFTER, after_chunks=3),
    "a line never ends": Behaviour(tokens=9, fault=Fault.ENDLESS_LINE),
}


@pytest.mark.parametrize("case", MIDDLE)
async def test_a_stream_that_breaks_ends_with_an_error_event(gateway, acme, engine, case):
    engine.behave(MIDDLE[case])

    answer = await gateway.chat(acme, stream=True)

    if answer.status == 200:
        *_, error, done = answer.events
        assert json.loads(error)["error"]["type"] == "server_error"
        assert done == "[DONE]"
    else:
        assert answer.status == 502
    assert gateway.worker.in_flight.total() == 0


async def test_a_stream_that_broke_is_billed_for_what_was_seen(gateway, acme, engine):
    engine.behave(Behaviour(tokens=9, fault=Fault.DIES_AFTER, after_chunks=4))

    await gateway.chat(acme, stream=True)

    (event,) = await ledger()
    assert (event.status, event.error_code) == ("failed", "upstream_broken")
    assert event.completion_tokens == engine.records.rows[0].tokens_written
    assert not event.estimated


async def test_a_failure_before_the_first_token_costs_nothing(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.REFUSES, status=500))

    await gateway.chat(acme)

    (event,) = await ledger()
    assert (event.status, event.prompt_tokens, event.completion_tokens) == ("failed", 0, 0)


USAGES = {
    UsageForm.ABSENT: (True, 8),
    UsageForm.NULL: (True, 8),
    UsageForm.ZERO: (False, 0),
    UsageForm.EXACT: (False, 8),
}


@pytest.mark.parametrize("form", USAGES)
async def test_only_absent_usage_is_estimated(gateway, acme, engine, form):
    estimated, completion = USAGES[form]
    engine.behave(Behaviour(tokens=8, usage=form))

    await gateway.chat(acme, stream=True)

    (event,) = await ledger()
    assert event.estimated is estimated
    assert abs(event.completion_tokens - completion) <= 2 * estimated


@pytest.mark.parametrize("odd", [Behaviour(crlf=True), Behaviour(splits_utf8=True, word="ü→𝄞")])
async def test_streams_are_relayed_however_they_are_cut(gateway, acme, engine, odd):
    engine.behave(odd)

    answer = await gateway.chat(acme, stream=True)

    chunks = [json.loads(event) for event in answer.events[:-1]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text.split() == [f"{odd.word}{number}" for number in range(8)]
    assert answer.events[-1] == "[DONE]"


async def leave_after(gateway, member, *, chunks, **body):
    """Request a stream and disconnect after so many chunks."""
    asked = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{gateway.url}/v1/chat/completions"
    async with aiohttp.ClientSession() as client:
        async with client.post(url, json={**asked, **body}, headers=member.bearer) as answer:
            for _ in range(chunks):
                await answer.content.readuntil(b"\n\n")
            answer.close()
        return time.monotonic()


@pytest.mark.parametrize("chunks", [1, 5, 12])
async def test_the_engine_is_stopped_when_the_client_leaves(gateway, acme, engine, chunks):
    engine.behave(Behaviour(tokens=1000, token_seconds=0.01))

    left = await leave_after(gateway, acme, chunks=chunks)

    record = engine.records.rows[0]
    await eventually(lambda: record.outcome is Outcome.ABORTED)
    (event,) = await ledger()
    assert record.client_left_at - left < 1.0
    assert event.status == "client_left"
    assert 0 <= record.tokens_produced - event.completion_tokens <= 100
    assert gateway.worker.in_flight.total() == 0


async def test_the_engine_is_stopped_when_a_client_leaves_that_wanted_no_stream(
    gateway, acme, engine
):
    engine.behave(Behaviour(tokens=1000, token_seconds=0.01))
    asked = asyncio.create_task(gateway.chat(acme))
    await eventually(lambda: len(engine.records) == 1)
    await asyncio.sleep(0.1)

    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    left = time.monotonic()

    record = engine.records.rows[0]
    await eventually(lambda: record.outcome is Outcome.ABORTED)
    (event,) = await ledger()
    assert record.client_left_at - left < 1.0
    assert (event.status, event.estimated) == ("client_left", True)


async def test_an_engine_that_never_begins_is_given_up_on(gateway, acme, engine):
    engine.behave(Behaviour(fault=Fault.STALLS))
    await in_database(set_patience, first_token_timeout=0.5)
    await gateway.worker.follower.catch_up()

    answer = await gateway.chat(acme, stream=True)

    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")
    assert gateway.worker.in_flight.total() == 0


async def test_an_engine_that_falls_silent_is_given_up_on(gateway, acme, engine):
    engine.behave(Behaviour(tokens=9, fault=Fault.STALLS_AFTER, after_chunks=2))
    await in_database(set_patience, token_timeout=0.5)
    await gateway.worker.follower.catch_up()

    answer = await gateway.chat(acme, stream=True)

    assert answer.status == 200
    assert json.loads(answer.events[-2])["error"]["code"] == "upstream_timeout"


def set_patience(**seconds):
    from inference.models import ModelPool
    from inference.services import save_pool

    pool = ModelPool.objects.get(name="tiny")
    for name, value in seconds.items():
        setattr(pool, name, value)
    save_pool(pool=pool)


@pytest.mark.slow
async def test_a_silent_stream_is_kept_alive_with_comments(gateway, acme, engine, monkeypatch):
    monkeypatch.setattr("agents.doors.base.event_sink.KEEP_ALIVE_SECONDS", 0.5)
    engine.behave(Behaviour(tokens=2, first_token_seconds=2.5))

    answer = await gateway.chat(acme, stream=True)

    assert answer.body.count(b": keep-alive\n\n") >= 1
    assert answer.events[-1] == "[DONE]"


@pytest.mark.slow
async def test_an_error_after_a_keep_alive_is_an_event(gateway, acme, engine, monkeypatch):
    monkeypatch.setattr("agents.doors.base.event_sink.KEEP_ALIVE_SECONDS", 0.5)
    engine.behave(Behaviour(fault=Fault.STALLS))
    await in_database(set_patience, first_token_timeout=2.5)
    await gateway.worker.follower.catch_up()

    answer = await gateway.chat(acme, stream=True)

    assert answer.status == 200
    assert json.loads(answer.events[0])["error"]["code"] == "upstream_timeout"


async def test_an_endpoint_that_is_not_there_is_passed_over(gateway, acme, engine, tiny):
    await in_database(add_endpoint, tiny, "http://127.0.0.1:9")
    await in_database(add_endpoint, tiny, "http://127.0.0.1:10")
    await gateway.worker.follower.catch_up()

    answers = [await gateway.chat(acme) for _ in range(10)]

    assert {answer.status for answer in answers} == {200}


async def test_a_route_without_endpoints_is_known_and_starting(gateway, acme):
    await in_database(serve, "http://127.0.0.1:9", model="gone")
    await in_database(drop_endpoints, "gone")
    await gateway.worker.follower.catch_up()

    answer = await gateway.chat(acme, model="gone")

    assert (answer.status, answer.error["code"]) == (503, "starting")
    assert int(answer.headers["retry-after"]) >= 1


def drop_endpoints(pool):
    from inference.endpoints.manual import delete_endpoint
    from inference.models import ModelEndpoint

    for endpoint in ModelEndpoint.objects.filter(pool__name=pool):
        delete_endpoint(endpoint=endpoint)


async def test_requests_go_where_the_fewest_run(gateway, acme, engine, tiny):
    async with ModelServer() as second:
        await in_database(add_endpoint, tiny, second.url)
        await gateway.worker.follower.catch_up()
        for server in (engine, second):
            server.behave(Behaviour(tokens=30, token_seconds=0.01))

        await asyncio.gather(*(gateway.chat(acme) for _ in range(20)))

        assert (len(engine.records), len(second.records)) == (10, 10)


async def test_an_engines_own_key_is_sent_to_it_alone(gateway, acme, transactional_db):
    async with ModelServer(models=("locked",), api_key="engine-secret") as server:
        await in_database(serve_with_key, server.url)
        await gateway.worker.follower.catch_up()

        answer = await gateway.chat(acme, model="locked")

    assert answer.status == 200
    assert server.records.rows[0].headers["authorization"] == "Bearer engine-secret"
    assert acme.key not in str(server.records.rows[0])


def serve_with_key(address):
    from inference import services as inference
    from inference.endpoints import manual as static_endpoints

    pool = inference.create_pool(name="locked", engine="vllm")
    static_endpoints.add_static_endpoint(
        pool=pool, address=address, model="locked", credential="engine-secret"
    )
    inference.create_route(name="locked", pool=pool)


async def test_two_hundred_clients_that_leave_anywhere_leave_nothing(gateway, acme, engine):
    engine.behave(Behaviour(tokens=200, token_seconds=0.005))

    async def leave(number):
        async with asyncio.timeout(number % 40 * 0.01 + 0.001):
            await gateway.chat(acme, stream=bool(number % 2))

    await asyncio.gather(*(leave(number) for number in range(200)), return_exceptions=True)

    await eventually(lambda: gateway.worker.in_flight.total() == 0)
    await engine_is_idle(engine)
    assert not gateway.worker.watchdog._members
    assert (await gateway.chat(acme)).status == 200


async def engine_is_idle(engine):
    await eventually(lambda: not engine.records.working)


def test_llamacpp_is_asked_for_and_billed_by_its_timings():
    from inference.fleet.snapshot import Endpoint
    from inference.relay.encoding import encode_chat
    from inference.relay.schema import ChatMessage, ChatRequest
    from inference.relay.sse import SseBuffer

    request = ChatRequest(model="x", messages=[ChatMessage(role="user")], stream=True)
    endpoint = Endpoint(id="e", address="http://e", model="m")
    chunk = b'data: {"choices":[{"delta":{"content":"a"}}],"timings":{"cache_n":30,"prompt_n":2,"predicted_n":5}}\n\n'  # noqa: E501
    stream = SseBuffer(keep_usage=False)

    asked = json.loads(encode_chat(request, endpoint, engine="llamacpp"))
    sent = stream.feed(chunk)

    usage = stream.usage()
    assert asked["timings_per_token"] is True
    assert sent == b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (32, 5, 30)
