"""A Redis that is slow, silent, broken or lying: an exception in time, and never a wrong answer."""

import asyncio
import time

import pytest
from django.conf import settings

from tenants.admission.limits.errors import CountersUnavailable
from tenants.admission.limits.messages import Granted
from tenants.admission.redis_counters import pipelines
from tests.fakes.redis_gate import redis_gate
from tests.fixtures.limits.counters import PATIENT, Totals, counters_at
from tests.fixtures.limits.scripts import ask, checks, progress, scope
from tests.tenants.admission.redis_counters.test_counters import settlement, until

LIES = {
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "read only": b"-READONLY You can't write against a read only replica.\r\n",
    "no memory": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "busy": b"-BUSY Redis is busy running a script.\r\n",
    "no disk": b"-MISCONF Redis is configured to save RDB snapshots\r\n",
    "moved": b"-MOVED 3999 127.0.0.1:6381\r\n",
    "cluster down": b"-CLUSTERDOWN The cluster is down\r\n",
    "never heard of the script": b"-ERR Function not found\r\n",
    "not allowed": b"-NOPERM this user has no permissions\r\n",
    "a bug of ours": b"-ERR user_script:3: attempt to index a nil value\r\n",
    "a number": b":1\r\n",
    "nothing": b"*-1\r\n",
    "an empty list": b"*0\r\n",
    "for somebody else": b"*4\r\n$5\r\nreq_9\r\n:1\r\n:1790000000000000\r\n:20\r\n",
    "too short": b"*3\r\n$5\r\nreq_1\r\n:1\r\n:1790000000000000\r\n",
    "garbage": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "half": b"*9\r\n$5\r\nreq_1\r\n:1\r\n",
}


@pytest.fixture
async def gate(server):
    async with redis_gate(settings.REDIS_LIMITS_URL) as made:
        yield made


@pytest.fixture
async def counters(gate):
    async with counters_at(gate.url, Totals()) as made:
        yield made


@pytest.fixture
def limits():
    return checks(scope("tenant", concurrency=10**6))


async def refuse(counters, request) -> float:
    """Seconds until CountersUnavailable."""
    since = time.perf_counter()
    with pytest.raises(CountersUnavailable):
        await counters.admit(request)
    return time.perf_counter() - since


@pytest.mark.slow
@pytest.mark.parametrize("closing", [False, True], ids=["stays", "closes"])
@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_is_none_is_away(gate, counters, limits, lie, closing):
    gate.lie, gate.lie_then_close = LIES[lie], closing

    await refuse(counters, ask(limits))
    with pytest.raises(CountersUnavailable):
        await counters.renew([progress(ask(limits), 20)])
    with pytest.raises(CountersUnavailable):
        await counters.settle([settlement(ask(limits))], [])
    with pytest.raises(CountersUnavailable):
        await counters.extend(progress(ask(limits), 20), completion_tokens=30)


async def test_it_answers_again_after_the_lies(gate, counters, limits):
    gate.lie = LIES["half"]
    await refuse(counters, ask(limits))
    gate.lie = None

    await until_admitted(counters, limits)


async def until_admitted(counters, limits, seconds=5.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return await counters.admit(ask(limits, f"req_{time.monotonic_ns()}"))
        except CountersUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("it does not come back")


@pytest.mark.parametrize("trouble", ["silence", "one byte at a time"])
async def test_a_redis_that_hangs_is_felt_for_a_moment_only(gate, counters, limits, trouble):
    await until_admitted(counters, limits)
    gate.silent, gate.drip = trouble == "silence", trouble != "silence"
    gate.delay = 0.02

    waits = [await refuse(counters, ask(limits, f"r{n}")) for n in range(30)]

    # The machine may be busy, so the median says what was promised.
    assert sorted(waits)[15] < 0.001, "while the breaker is open nobody waits"
    assert 3 <= sum(wait > 0.02 for wait in waits) <= 10
    assert max(waits) < 4 * pipelines.TIMEOUT_SECONDS


@pytest.mark.slow
async def test_the_breaker_closes_when_redis_answers_again(gate, counters, limits):
    await until_admitted(counters, limits)
    gate.silent = True
    for n in range(8):
        await refuse(counters, ask(limits, f"r{n}"))
    assert counters.is_unavailable

    gate.silent = False
    await until_admitted(counters, limits, seconds=3)

    assert not counters.is_unavailable


async def test_nobody_listens(limits):
    async with counters_at("redis://127.0.0.1:1/0", Totals()) as counters:
        await refuse(counters, ask(limits))


async def test_a_restarted_redis_costs_no_request(gate, counters, limits, server):
    await until_admitted(counters, limits)
    server.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.05)

    assert isinstance(await counters.admit(ask(limits)), Granted)


async def test_what_came_too_late_is_given_back(gate, counters, limits, driver):
    await until_admitted(counters, limits)
    held = driver.holds()
    gate.delay = 2 * pipelines.TIMEOUT_SECONDS
    await refuse(counters, ask(limits, "req_late"))
    gate.delay = 0

    await until(lambda: not counters._releases._wanted)

    assert driver.holds() == held


async def test_cancelled_admissions_shift_no_answer_and_leave_no_hold(gate, limits, driver):
    gate.delay = 0.004
    async with counters_at(gate.url, Totals(), timeout=PATIENT) as counters:
        granted: list[str] = []

        async def try_it(n):
            # As many answers to others are under way as can be; each has its own length.
            verdict = await counters.admit(ask(limits, f"req_{n}", completion_tokens=n))
            assert verdict.completion_tokens == n
            granted.append(f"req_{n}")

        for wave in range(20):
            asking = [asyncio.create_task(try_it(wave * 100 + n)) for n in range(100)]
            for n, task in enumerate(asking):
                if n % 10 == 0:
                    await asyncio.sleep(0.001)
                if n % 20:
                    task.cancel()
            done = await asyncio.gather(*asking, return_exceptions=True)
            assert not [each for each in done if isinstance(each, Exception)]
        await until(lambda: not counters._releases._wanted, seconds=20)

        assert driver.holds() == len(granted) >= 100
        await counters.settle([settlement(ask(limits, each)) for each in granted], [])

    assert driver.holds() == 0
    assert driver.scope("tenant")["c"] == 0


async def test_a_process_that_is_late_itself_does_not_blame_redis(counters, limits):
    await until_admitted(counters, limits)
    asking = asyncio.create_task(counters.admit(ask(limits)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    time.sleep(3 * pipelines.TIMEOUT_SECONDS)  # noqa: ASYNC251 - a busy process is the point

    assert isinstance(await asking, Granted)
