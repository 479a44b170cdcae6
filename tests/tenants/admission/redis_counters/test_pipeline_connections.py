"""How a pipeline gets its connection: whatever order the event loop runs tasks in, it yields."""

import asyncio
from typing import ClassVar

import pytest
from django.conf import settings
from redis.asyncio import Connection, ConnectionPool, Redis

from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.redis_counters.breaker import RedisBreaker
from tenants.admission.redis_counters.clock import RedisClock
from tenants.admission.redis_counters.pipelines import Pipelines
from tenants.admission.redis_counters.resp import RedisCall
from tenants.admission.redis_counters.scripts import ADMIT
from tests.fixtures.limits.counters import PATIENT


class HeldConnection(Connection):
    """A real connection, made when the test says so; the first one then has a stray answer."""

    arrived: asyncio.Event
    release: "asyncio.Future[None]"
    stray: ClassVar[list[bool]]

    async def connect(self) -> None:
        await super().connect()
        self.arrived.set()
        await self.release

    async def can_read(self, *args: object, **options: object) -> bool:
        return self.stray.pop() if self.stray else False


@pytest.fixture
async def pipelines(server):
    HeldConnection.arrived = asyncio.Event()
    HeldConnection.stray = [True]
    HeldConnection.release = asyncio.get_running_loop().create_future()
    pool = ConnectionPool.from_url(settings.REDIS_LIMITS_URL, connection_class=HeldConnection)
    redis = Redis(connection_pool=pool)
    made = Pipelines(redis, clock=RedisClock(), breaker=RedisBreaker(), timeout=PATIENT)
    yield made
    await made.aclose()
    await redis.aclose()


@pytest.mark.timeout(10, method="signal")
async def test_a_connection_that_is_just_made_and_unusable_does_not_stop_the_event_loop(pipelines):
    """The next caller looks after the task has ended and before the task's callbacks have run."""
    call = RedisCall(script=ADMIT, tag=b"ping", packed=b"*1\r\n$4\r\nPING\r\n")
    first = pipelines.send(call)
    await HeldConnection.arrived.wait()

    # The caller's task is made first, so it runs before the callbacks of the connecting task.
    second = pipelines.send(call)
    HeldConnection.release.set_result(None)

    async with asyncio.timeout(20):
        answers = await asyncio.gather(first, second, return_exceptions=True)

    # Redis has answered, though nothing that a script would say.
    assert [type(answer) for answer in answers] == [CountersUnavailable, CountersUnavailable]
    assert not HeldConnection.stray
