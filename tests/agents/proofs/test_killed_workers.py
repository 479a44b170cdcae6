"""A worker that is killed in the middle of its streams: nothing twice, nothing held.

Real processes, killed as the kernel kills. What they had told with their last heartbeat is billed.
"""

import asyncio
import time

import aiohttp
import pytest
from django.conf import settings
from django.utils import timezone

from kernel.storage.redis import connect
from tenants.limits import services as limit_services
from tenants.models import Quota, UsageEvent
from tenants.tasks import bill_abandoned_requests
from tests.fakes.model_server import Behaviour, ModelServer
from tests.fixtures.cast import add_endpoint, serve
from tests.fixtures.database.books import assert_balance
from tests.fixtures.gateway import in_database
from tests.fixtures.servers.processes import gateway_process

pytestmark = pytest.mark.slow

STREAMS = 5
BEAT_SECONDS = 5.0
PACE = 0.05


def expire_every_hold(url, tenant_id):
    """As if the lease had run out: a test does not wait for it."""
    with connect(url) as client:
        key = f"tenantry:{{{tenant_id}}}:expiries"
        for request_id in client.zrange(key, 0, -1):
            client.zadd(key, {request_id: 1})


async def stream_until_cut(session, url, member):
    body = {"model": "tiny", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    try:
        async with session.post(
            url + "/v1/chat/completions", json=body, headers=member.bearer
        ) as answer:
            async for _ in answer.content:
                pass
    except aiohttp.ClientError:
        pass


@pytest.fixture
def budget(acme):
    quota = Quota(tenant=acme.tenant, unit="tokens", limit=10**6, period="day")
    limit_services.save_quota(rule=quota, now=timezone.now())


@pytest.mark.parametrize(
    "kills", [4, pytest.param(20, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])]
)
async def test_streams_of_killed_workers_are_billed_once_by_their_checkpoint(
    tmp_path, acme, budget, kills
):
    redis_url = settings.REDIS_LIMITS_URL
    async with ModelServer(behaviour=Behaviour(tokens=2000, token_seconds=PACE)) as engine:
        await in_database(serve, engine.url)
        for number in range(kills):
            with gateway_process(tmp_path / str(number), redis_url=redis_url) as worker:
                async with aiohttp.ClientSession() as session:
                    streams = [
                        asyncio.create_task(stream_until_cut(session, worker.url, acme))
                        for _ in range(STREAMS)
                    ]
                    await asyncio.sleep(BEAT_SECONDS + 1.5)
                    worker.kill()
                    await asyncio.gather(*streams)
        await asyncio.sleep(0.5)
        produced = sum(record.tokens_produced for record in engine.records.rows)
    await in_database(expire_every_hold, redis_url, acme.tenant.pk)
    await in_database(bill_abandoned_requests)
    await in_database(bill_abandoned_requests)

    # The job also bills what killed workers of other tests have left in this Redis.
    events = await in_database(lambda: list(UsageEvent.objects.filter(tenant=acme.tenant)))
    billed = sum(event.completion_tokens for event in events)
    assert len(events) == kills * STREAMS
    assert {event.kind for event in events} == {"abandoned"}
    assert 0 < billed <= produced
    # Nothing is lost but what came after the last heartbeat.
    assert produced - billed <= kills * STREAMS * (BEAT_SECONDS + 2) / PACE
    await in_database(assert_balance, acme.tenant.pk, url=redis_url)


async def test_a_worker_that_was_only_asleep_corrects_the_bill(tmp_path, acme, budget):
    redis_url = settings.REDIS_LIMITS_URL
    async with ModelServer(behaviour=Behaviour(tokens=200, token_seconds=PACE)) as engine:
        await in_database(serve, engine.url)
        with gateway_process(tmp_path, redis_url=redis_url) as worker:
            async with aiohttp.ClientSession() as session:
                stream = asyncio.create_task(stream_until_cut(session, worker.url, acme))
                await asyncio.sleep(BEAT_SECONDS + 1.5)
                worker.stop()
                await in_database(expire_every_hold, redis_url, acme.tenant.pk)
                await in_database(bill_abandoned_requests)
                worker.go_on()
                await stream
                await in_database(wait_for_correction)
                events = await in_database(
                    lambda: list(UsageEvent.objects.filter(tenant=acme.tenant).order_by("pk"))
                )
    counted = engine.records.rows[0].usage_written["completion_tokens"]
    assert [event.kind for event in events] == ["abandoned", "correction"]
    assert sum(event.completion_tokens for event in events) == counted
    await in_database(assert_balance, acme.tenant.pk, url=redis_url)


def wait_for_correction():
    deadline = time.monotonic() + 10
    while not UsageEvent.objects.filter(kind="correction").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_two_workers_share_one_budget(tmp_path, acme):
    limit = Quota(tenant=acme.tenant, unit="requests", limit=50, period="day")
    await in_database(limit_services.save_quota, rule=limit, now=timezone.now())
    redis_url = settings.REDIS_LIMITS_URL
    behaviour = Behaviour(tokens=3, token_seconds=0.02)
    async with ModelServer(behaviour=behaviour) as engine, ModelServer() as second:
        route = await in_database(serve, engine.url)
        await in_database(add_endpoint, route, second.url)
        with (
            gateway_process(tmp_path / "a", redis_url=redis_url) as one,
            gateway_process(tmp_path / "b", redis_url=redis_url) as other,
        ):
            statuses = await ask_at_once([one.url, other.url] * 100, acme)
            # 503 where this machine is too busy for Redis to answer in time: refused too.
            assert set(statuses) <= {200, 429, 503}
            assert statuses.count(200) <= 50
            # What was refused for want of an answer, or for what others held, is still there.
            for _ in range(50 - statuses.count(200)):
                await ask_until_answered(other.url, acme)
            assert await ask_at_once([one.url, other.url], acme) == [429, 429]
            assert len(engine.records) + len(second.records) == 50
            await in_database(assert_balance, acme.tenant.pk, url=redis_url)


async def ask_until_answered(url, member):
    async with asyncio.timeout(20):
        while await ask_at_once([url], member) != [200]:
            await asyncio.sleep(0.2)


async def ask_at_once(urls, member):
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}]}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(url):
            async with session.post(
                url + "/v1/chat/completions", json=body, headers=member.bearer
            ) as answer:
                await answer.read()
                return answer.status

        return await asyncio.gather(*map(ask, urls))
