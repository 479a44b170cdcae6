"""Kept answers at `POST /v1/chat/completions`: free of tokens, and never another tenant's."""

import asyncio
import json
from types import SimpleNamespace

import openai
import pytest

from agents import services
from agents.doors.base.event_sink import TeeSink
from agents.doors.http.cached_responses import ResponseRecorder
from agents.erasure.cached_responses import erase_cached_responses
from inference.relay.sse import END
from inference.relay.watchdog import Watchdog
from kernel.asgi import ClientWatch
from kernel.ids import new_id
from tenants import services as tenants
from tests.fakes.model_server import Behaviour, Fault
from tests.fixtures.cast import hire
from tests.fixtures.gateway import in_database, ledger
from tests.fixtures.limits.limits import own_quota, own_rate

pytestmark = pytest.mark.usefixtures("tiny")

CACHED = {"response_cache": "always", "cache_seconds": 60}


@pytest.fixture
async def helper(acme, tiny):
    await in_database(erase_cached_responses, acme.tenant.pk)
    return await in_database(hire, acme.tenant, tiny, **CACHED)


async def ask(gateway, member, content="hello", **body):
    return await gateway.chat(member, content, model="helper", **body)


def is_hit(answer):
    return answer.headers.get("x-tenantry-cache") == "hit"


def text_of(answer):
    """What was said, whole or in chunks."""
    if "event-stream" not in answer.headers["content-type"]:
        return answer.json()["choices"][0]["message"]["content"]
    *chunks, last = answer.events
    assert last == "[DONE]"
    choices = [json.loads(chunk)["choices"][0] for chunk in chunks]
    assert choices[-1]["finish_reason"] == "stop"
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.usefixtures("helper")
@pytest.mark.parametrize("streams", [(False, False), (False, True), (True, False), (True, True)])
async def test_the_same_question_gets_the_same_answer_again(gateway, acme, engine, streams):
    one = await ask(gateway, acme, stream=streams[0])
    engine.behave(Behaviour(word="other"))
    other = await ask(gateway, acme, stream=streams[1])

    assert (is_hit(one), is_hit(other)) == (False, True)
    assert text_of(one) == text_of(other) == "tok0 tok1 tok2 tok3 tok4 tok5 tok6 tok7"
    assert len(engine.records) == 1


@pytest.mark.parametrize("ends_with_text", [True, False])
async def test_an_answer_is_kept_before_its_end_is_sent(ends_with_text):
    steps = []

    async def send(message):
        steps.append(message.get("more_body", "head"))

    async def keep(answer):
        steps.append(answer.text)

    call = SimpleNamespace(send=send, status=0, headers=[], watch=Watchdog())
    text = b'data: {"choices":[{"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    async with ClientWatch(asyncio.Future) as client:
        sink = TeeSink(call, client=client, observer=ResponseRecorder(keep))
        if not ends_with_text:
            await sink.send(text)
        await sink.end(text + END if ends_with_text else END)

    assert steps == (["hi", "head", False] if ends_with_text else ["head", True, "hi", False])


async def test_a_hit_is_in_the_ledger_without_tokens(gateway, acme, helper):
    await ask(gateway, acme)
    hit = await ask(gateway, acme)

    asked, again = await ledger(rows=2)
    assert asked.completion_tokens == 8
    assert (again.prompt_tokens, again.completion_tokens, again.status) == (0, 0, "completed")
    saved = asked.prompt_tokens + asked.completion_tokens
    assert again.decision == {"cache": "hit", "saved_tokens": saved}
    assert (again.agent, again.agent_revision, again.route) == ("helper", 1, "tiny")
    assert hit.json()["usage"]["total_tokens"] == 0


async def test_a_hit_is_counted_by_the_metric(gateway, acme, helper):
    await ask(gateway, acme)
    await ask(gateway, acme)

    shown = (await gateway.get(None, "/metrics")).body.decode()

    assert 'tenantry_cache_hits_total{route="tiny",tier="memory"}' in shown


@pytest.mark.usefixtures("helper")
async def test_two_tenants_never_share_an_answer(gateway, acme, rival, tiny, engine):
    await in_database(erase_cached_responses, rival.tenant.pk)
    await in_database(hire, rival.tenant, tiny, **CACHED)
    engine.behave(Behaviour(word="acmes"), Behaviour(word="rivals"))

    answers = [await ask(gateway, member) for member in (acme, rival, acme, rival)]

    assert [is_hit(each) for each in answers] == [False, False, True, True]
    assert ["acmes0" in text_of(each) for each in answers] == [True, False, True, False]


async def test_a_publication_makes_every_answer_old(gateway, acme, helper, engine):
    await ask(gateway, acme)
    engine.behave(Behaviour(word="new"))

    await in_database(publish, helper, "Be brief.")
    async with asyncio.timeout(3):
        while "new0" not in text_of(await ask(gateway, acme)):
            await asyncio.sleep(0.02)

    assert len(engine.records) == 2


def publish(agent, instructions):
    agent.instructions = instructions
    services.save_draft(agent=agent)
    services.publish(agent=agent)


async def test_an_erased_answer_is_asked_of_the_model_again(gateway, acme, helper, engine):
    await ask(gateway, acme)

    await in_database(erase_cached_responses, acme.tenant.pk)
    async with asyncio.timeout(3):
        while is_hit(await ask(gateway, acme)):
            await asyncio.sleep(0.02)

    assert len(engine.records) == 2


FAULTS = [Fault.DIES_AFTER, Fault.TRUNCATED_JSON, Fault.GARBAGE, Fault.REFUSES, Fault.CLOSES]


@pytest.mark.usefixtures("helper")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_broken_answer_is_not_kept(gateway, acme, engine, fault, stream):
    engine.behave(Behaviour(fault=fault))

    for _ in range(3):
        assert not is_hit(await ask(gateway, acme, stream=stream))


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_was_cut_short_is_not_kept(gateway, acme, helper, engine, stream):
    for _ in range(2):
        assert not is_hit(await ask(gateway, acme, stream=stream, max_tokens=3))


async def test_what_the_policy_leaves_out_is_asked_each_time(gateway, acme, tiny, engine):
    draft = {"slug": "helper", "response_cache": "deterministic"}
    await in_database(hire, acme.tenant, tiny, **draft)

    for temperature in (0, 0.7, 0, 0.7):
        await ask(gateway, acme, temperature=temperature)

    assert len(engine.records) == 3


async def test_an_agent_without_a_cache_and_a_route_are_asked_each_time(
    gateway, acme, tiny, engine
):
    await in_database(hire, acme.tenant, tiny)

    for model in ("helper", "helper", "tiny", "tiny"):
        await gateway.chat(acme, model=model, temperature=0)

    assert len(engine.records) == 4


async def test_hits_count_as_requests_but_not_as_tokens(gateway, acme, helper):
    await in_database(own_rate, acme.tenant, requests_per_minute=4, tokens_per_minute=700)
    await until_in_force(gateway, acme)

    statuses = [(await ask(gateway, acme, max_tokens=600)).status for _ in range(5)]

    # The token rate has room for one such request and the request rate for four, one of them the
    # one that showed the limits to be in force.
    assert statuses == [200, 200, 200, 429, 429]


async def until_in_force(gateway, member):
    """Ask with a model that does not exist no more: the headers tell."""
    async with asyncio.timeout(5):
        while (
            "x-ratelimit-limit-requests"
            not in (await ask(gateway, member, "warm up", max_tokens=1)).headers
        ):
            await asyncio.sleep(0.05)


async def test_a_hit_is_given_when_the_token_quota_is_used_up(gateway, acme, helper, engine):
    await ask(gateway, acme)
    await in_database(own_quota, acme.tenant, limit=1)

    async with asyncio.timeout(5):
        while (await ask(gateway, acme, new_id("question"))).status != 429:
            await asyncio.sleep(0.05)

    hit = await ask(gateway, acme)
    assert (hit.status, is_hit(hit)) == (200, True)


async def test_a_suspended_tenant_gets_no_kept_answer(gateway, acme, helper):
    await ask(gateway, acme)
    await in_database(tenants.suspend_tenant, tenant_id=acme.tenant.pk)

    async with asyncio.timeout(3):
        while (await ask(gateway, acme)).status != 403:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_official_client_reads_a_kept_answer(gateway, acme, helper, stream):
    asked = {"model": "helper", "messages": [{"role": "user", "content": "hello"}]}
    async with openai.AsyncOpenAI(base_url=gateway.url + "/v1", api_key=acme.key) as client:
        await client.chat.completions.create(**asked)
        again = await client.chat.completions.create(**asked, stream=stream)
        if stream:
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in again])
        else:
            text = again.choices[0].message.content

    assert text.split()[0] == "tok0"


async def test_a_stream_with_usage_says_that_nothing_was_used(gateway, acme, helper):
    await ask(gateway, acme)
    again = await ask(gateway, acme, stream=True, stream_options={"include_usage": True})

    last = json.loads(again.events[-2])
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 0)
