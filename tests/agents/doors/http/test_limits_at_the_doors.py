"""Limits as tenants meet them: at the doors of a real gateway, on real counters."""

import asyncio
import json

import pytest
from django.utils import timezone

from tenants import services
from tenants.limits import services as limit_services
from tenants.models import ApiKey, Quota, RateLimit, UsageEvent
from tenants.scoping import tenant_scope
from tests.fakes.model_server import Behaviour
from tests.fixtures.cast import Member
from tests.fixtures.gateway import eventually, in_database, ledger, running_gateway

pytestmark = pytest.mark.usefixtures("tiny")


def limit_rate(member, **facts):
    limit_services.save_rate_limit(rule=RateLimit(tenant=member.tenant, **facts))


def limit_quota(member, **facts):
    limit_services.save_quota(rule=Quota(tenant=member.tenant, **facts), now=timezone.now())


@pytest.fixture
async def limited(acme, gateway):
    """Gives acme limits that the gateway has heard of."""

    async def limit(save, **facts):
        await in_database(save, acme, **facts)
        await gateway.worker.follower.catch_up()

    return limit


async def test_requests_per_minute_are_refused_with_the_limit_the_scope_and_the_wait(
    gateway, acme, limited
):
    await limited(limit_rate, per="key", requests_per_minute=2)

    first, second, third = [await gateway.chat(acme) for _ in range(3)]

    assert (first.status, second.status, third.status) == (200, 200, 429)
    assert third.error["type"] == "rate_limit_error"
    assert third.error["reason"] == "requests_per_minute"
    assert third.error["code"] == "rate_limit_exceeded"
    assert "this API key" in third.error["message"]
    assert 25_000 < int(third.headers["retry-after-ms"]) <= 30_000
    assert int(third.headers["retry-after"]) == -(-int(third.headers["retry-after-ms"]) // 1000)


async def test_an_answer_says_how_the_limits_stand(gateway, acme, limited):
    await limited(limit_rate, requests_per_minute=60, tokens_per_minute=60_000)

    answer = await gateway.chat(acme, max_tokens=8)

    assert answer.headers["x-ratelimit-limit-requests"] == "60"
    assert answer.headers["x-ratelimit-remaining-requests"] == "59"
    assert answer.headers["x-ratelimit-reset-requests"] in {"1.000s", "999ms"}
    assert answer.headers["x-ratelimit-limit-tokens"] == "60000"
    assert 59_000 < int(answer.headers["x-ratelimit-remaining-tokens"]) < 60_000


async def test_a_refused_request_is_in_no_ledger(gateway, acme, limited):
    await limited(limit_rate, requests_per_minute=1)

    await gateway.chat(acme)
    await gateway.chat(acme)

    await ledger(rows=1)
    await asyncio.sleep(0.1)
    assert await in_database(UsageEvent.objects.count) == 1


async def test_requests_at_the_same_time_are_counted_until_they_end(gateway, acme, engine, limited):
    await limited(limit_rate, concurrency=1)
    engine.behave(Behaviour(tokens=4, token_seconds=0.1))

    slow = asyncio.create_task(gateway.chat(acme))
    await eventually(lambda: len(engine.records) == 1)
    refused = await gateway.chat(acme)

    assert refused.error["reason"] == "concurrency"
    assert (await slow).status == 200
    await asyncio.sleep(0.2)
    assert (await gateway.chat(acme)).status == 200


async def test_a_quota_that_is_used_up_says_when_it_resets(gateway, acme, limited):
    await limited(limit_quota, unit="requests", limit=2, period="day")

    answers = [await gateway.chat(acme) for _ in range(3)]

    refused = answers[-1]
    assert [each.status for each in answers] == [200, 200, 429]
    assert refused.error["type"] == "insufficient_quota"
    assert refused.error["reason"] == "quota_exhausted"
    assert refused.error["code"] == "insufficient_quota"
    assert "It resets at" in refused.error["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert 0 < int(refused.headers["retry-after"]) <= 86_400


async def test_an_answer_is_cut_to_what_is_left(gateway, acme, engine, limited):
    await limited(limit_quota, unit="tokens", limit=60, period="day")
    engine.behave(Behaviour(tokens=500))

    answer = await gateway.chat(acme)

    asked = engine.records.rows[-1].body["max_tokens"]
    usage = answer.json()["usage"]
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert usage["completion_tokens"] == asked < 60
    assert usage["total_tokens"] <= 60


async def test_a_budget_for_fifty_admits_fifty_of_two_hundred(gateway, acme, engine, limited):
    await limited(limit_quota, unit="requests", limit=50, period="day")
    engine.behave(Behaviour(tokens=2, token_seconds=0.02))

    answers = await asyncio.gather(*(gateway.chat(acme) for _ in range(200)))

    # 503 where this machine is too busy for Redis to answer in time: refused too.
    assert {each.status for each in answers} <= {200, 429, 503}
    assert len(engine.records) <= 50
    async with asyncio.timeout(20):
        while len(engine.records) < 50:
            await gateway.chat(acme)
    assert (await gateway.chat(acme)).status == 429
    assert len(engine.records) == 50
    await ledger(rows=50)


@pytest.mark.slow
async def test_a_budget_of_tokens_is_never_overspent_and_can_be_used_up(
    gateway, acme, engine, limited
):
    await limited(limit_quota, unit="tokens", limit=1000, period="day")
    engine.behave(Behaviour(tokens=10, token_seconds=0.005))

    await asyncio.gather(*(gateway.chat(acme, max_tokens=10) for _ in range(100)))
    while (await gateway.chat(acme, max_tokens=10)).status == 200:
        pass

    events = await in_database(lambda: list(UsageEvent.objects.all()))
    spent = sum(event.prompt_tokens + event.completion_tokens for event in events)
    each = events[0].prompt_tokens + 10
    assert 1000 - each < spent <= 1000


async def test_what_a_failed_engine_did_not_do_is_not_charged(gateway, acme, engine, limited):
    await limited(limit_quota, unit="requests", limit=1, period="day")
    engine.behave(Behaviour().with_fields({"fault": "refuses"}))
    assert (await gateway.chat(acme)).status == 502

    engine.behave(Behaviour())
    await asyncio.sleep(0.2)

    assert (await gateway.chat(acme)).status == 200


async def test_a_soft_quota_warns_and_serves_on(gateway, acme, limited):
    await limited(limit_quota, unit="requests", limit=1, period="day", hard=False)

    first, second = await gateway.chat(acme), await gateway.chat(acme)

    assert (first.status, second.status) == (200, 200)
    assert "x-quota-warning" not in first.headers
    assert second.headers["x-quota-warning"].startswith("tenant|requests; limit=1;")


async def test_shadow_mode_changes_no_answer(gateway, acme, limited):
    await limited(limit_rate, requests_per_minute=1, shadow=True)

    answers = [await gateway.chat(acme) for _ in range(3)]

    assert [each.status for each in answers] == [200] * 3


async def test_a_limit_in_shadow_mode_lifts_no_enforced_one(gateway, acme, limited):
    await limited(limit_rate, per="key", requests_per_minute=3)
    await limited(limit_rate, per="key", requests_per_minute=1, shadow=True)

    answers = [await gateway.chat(acme) for _ in range(4)]

    assert [each.status for each in answers] == [200, 200, 200, 429]
    # None where Redis answered too late to be asked.
    shown = {each.headers.get("x-ratelimit-limit-requests") for each in answers}
    assert shown <= {"3", None}


async def test_a_quota_in_shadow_mode_lifts_no_hard_one(gateway, acme, limited):
    await limited(limit_quota, unit="requests", limit=3, period="day")
    await limited(limit_quota, unit="requests", limit=1, period="day", shadow=True)

    answers = [await gateway.chat(acme) for _ in range(4)]

    assert [each.status for each in answers] == [200, 200, 200, 429]
    assert not any("x-quota-warning" in each.headers for each in answers)


async def test_one_tenants_limits_are_nothing_to_another(gateway, acme, rival, limited):
    await limited(limit_rate, requests_per_minute=1)
    await gateway.chat(acme)

    assert (await gateway.chat(acme)).status == 429
    assert (await gateway.chat(rival)).status == 200


async def test_a_limit_is_in_force_in_two_workers_at_once(gateway, acme, engine, limited):
    await limited(limit_quota, unit="requests", limit=20, period="day")
    engine.behave(Behaviour(tokens=2, token_seconds=0.02))

    async with running_gateway() as other:
        both = [*(gateway.chat(acme) for _ in range(40)), *(other.chat(acme) for _ in range(40))]
        answers = await asyncio.gather(*both)

    assert {each.status for each in answers} <= {200, 429, 503}
    assert len(engine.records) <= 20


async def test_a_growing_answer_extends_its_hold_until_nothing_is_left(
    gateway, acme, engine, limited
):
    await limited(limit_quota, unit="tokens", limit=1000, period="day", hold="extend")
    engine.behave(Behaviour(tokens=3000, token_seconds=0.0005))

    answer = await gateway.chat(acme, stream=True)

    *_, last, done = answer.events
    (event,) = await ledger()
    assert done == "[DONE]"
    assert json.loads(last)["choices"][0]["finish_reason"] == "length"
    assert event.completion_tokens > 512
    # What the engine sent while the last answer of Redis was on its way.
    assert event.prompt_tokens + event.completion_tokens <= 1100
    assert event.status == "completed"


@pytest.mark.parametrize(
    "number", [-1, 0, 2**31, 2**63, 2**70, 1e9, 1.5, "1e9", True, None, [], {}]
)
async def test_numbers_from_hell_are_refused_and_cost_nothing(gateway, acme, number, limited):
    await limited(limit_quota, unit="tokens", limit=1000, period="day")

    answer = await gateway.chat(acme, max_tokens=number)

    if number is None:
        assert answer.status == 200
    else:
        assert (answer.status, answer.error["code"]) == (400, "invalid_parameter")
        assert await in_database(UsageEvent.objects.count) == 0


def rotated(member):
    with tenant_scope(member.tenant.pk):
        key = ApiKey.objects.get(name="test")
        issued = services.rotate_key(key=key, now=timezone.now())
    return Member(tenant=member.tenant, key=issued.secret)


@pytest.mark.parametrize("limit", ["own", "every"])
async def test_rotation_gives_a_key_nothing_of_its_quota_back(gateway, acme, limited, limit):
    own = {"api_key": await in_database(ApiKey._base_manager.get)} if limit == "own" else {}
    await limited(limit_quota, per="key", unit="requests", limit=3, period="day", **own)
    before = [(await gateway.chat(acme)).status for _ in range(2)]

    new = await in_database(rotated, acme)
    await gateway.worker.follower.catch_up()

    after = [(await gateway.chat(each)).status for each in (new, acme, new)]
    assert (before, after) == ([200, 200], [200, 429, 429])
