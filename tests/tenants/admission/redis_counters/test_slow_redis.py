"""A slow Redis costs latency, not answers; one that is away is noticed soon, and costs no more."""

import asyncio
import time

import pytest
from django.conf import settings

from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.limits.messages import Granted
from tenants.admission.redis_counters.breaker import (
    MIN_FAILING_SECONDS,
    MIN_FAILURES,
    OPEN_SECONDS,
    RedisBreaker,
)
from tenants.admission.redis_counters.pipelines import TIMEOUT_SECONDS
from tests.fakes.redis_gate import redis_gate
from tests.fixtures.limits.counters import Totals, counters_at
from tests.fixtures.limits.scripts import ask, checks, scope
from tests.tenants.admission.redis_counters.test_counters_away import until_admitted

BURST = 50


@pytest.fixture
def limits():
    return checks(scope("tenant", concurrency=10**6))


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.03, 0.1, 0.2])
async def test_a_burst_is_decided_however_slow_redis_is(server, limits, delay):
    async with (
        redis_gate(settings.REDIS_LIMITS_URL) as gate,
        counters_at(gate.url, Totals()) as counters,
    ):
        await until_admitted(counters, limits)
        gate.delay = delay
        for wave in range(3):
            asking = [counters.admit(ask(limits, f"req_{wave}_{n}")) for n in range(BURST)]
            answers = await asyncio.gather(*asking, return_exceptions=True)
            assert [type(each) for each in answers] == [Granted] * BURST
        assert not counters.is_unavailable


@pytest.mark.slow
async def test_one_that_hangs_delays_a_few_requests_and_then_costs_no_wait(server, limits):
    async with (
        redis_gate(settings.REDIS_LIMITS_URL) as gate,
        counters_at(gate.url, Totals()) as counters,
    ):
        await until_admitted(counters, limits)
        gate.silent = True
        delayed = 0
        while not counters.is_unavailable:
            delayed += 1
            with pytest.raises(CountersUnavailable):
                await counters.admit(ask(limits, f"early{delayed}"))
        assert delayed <= MIN_FAILURES + MIN_FAILING_SECONDS / TIMEOUT_SECONDS
        waits = []
        for n in range(60):
            since = time.perf_counter()
            with pytest.raises(CountersUnavailable):
                await counters.admit(ask(limits, f"late{n}"))
            waits.append(time.perf_counter() - since)
            await asyncio.sleep(0.03)
        # Also while it is probed: no request waits for that.
        assert sorted(waits)[-3] < TIMEOUT_SECONDS
        gate.silent = False
        await until_admitted(counters, limits)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return RedisBreaker(clock)


def test_what_fails_in_one_moment_opens_nothing(breaker):
    for _ in range(100):
        breaker.note_failure()
    assert not breaker.is_open


def test_failures_in_a_row_that_last_open_it(breaker, clock):
    for _ in range(MIN_FAILURES):
        assert not breaker.is_open
        breaker.note_failure()
        clock.now += MIN_FAILING_SECONDS / (MIN_FAILURES - 1)
    assert breaker.is_open


def test_a_success_in_between_begins_anew(breaker, clock):
    for _ in range(10):
        breaker.note_failure()
        clock.now += MIN_FAILING_SECONDS
        breaker.note_failure()
        breaker.note_success()
    assert not breaker.is_open


def test_while_it_is_open_one_probe_may_go_each_second(breaker, clock):
    for _ in range(MIN_FAILURES):
        breaker.note_failure()
        clock.now += MIN_FAILING_SECONDS
    clock.now += OPEN_SECONDS
    assert [breaker.may_pass() for _ in range(3)] == [True, False, False]
    breaker.note_failure()
    assert not breaker.may_pass()
    clock.now += OPEN_SECONDS
    assert breaker.may_pass()
    breaker.note_success()
    assert not breaker.is_open
    assert breaker.open_for() == 0
