"""The counters as a gateway process asks them."""

import asyncio
import time

import pytest
from django.conf import settings

from kernel.errors import Overloaded
from tenants.admission.limits.errors import CountersUnavailable, WindowMoved
from tenants.admission.limits.messages import Granted, Refused, Settlement
from tenants.admission.redis_counters.clock import RedisClock
from tests.fixtures.limits.counters import PATIENT, Totals, counters_at
from tests.fixtures.limits.scripts import ACME, RIVAL, ask, checks, progress, quota, scope

BUDGET = 1000


@pytest.fixture
def totals():
    return Totals()


@pytest.fixture
async def counters(server, totals):
    async with counters_at(settings.REDIS_LIMITS_URL, totals, timeout=PATIENT) as made:
        yield made


@pytest.fixture
def limits(window):
    return checks(scope("tenant", quota("tenant", window, BUDGET)))


def settlement(request, tokens=0):
    return Settlement(
        tenant_id=request.checks.tenant_id, request_id=request.request_id, rate_tokens=tokens
    )


async def test_a_cold_counter_is_loaded_and_decided_on(counters, totals, limits, window):
    totals.use(ACME, "tenant|tokens", window, 400)

    granted = await counters.admit(ask(limits))

    assert granted.quotas[0].used == 400
    assert totals.loads == [[("tenant|tokens", window)]]


async def test_a_cold_counter_is_loaded_once_for_all_who_wait(counters, totals, limits):
    totals.takes = 0.05

    verdicts = await asyncio.gather(*(counters.admit(ask(limits, f"r{n}")) for n in range(20)))

    assert {type(each) for each in verdicts} == {Granted}
    assert len(totals.loads) == 1


async def test_no_more_than_eight_loads_go_on_at_once(counters, totals, window):
    totals.takes = 0.02
    every = [checks(scope(f"key:{n}", quota(f"key:{n}", window, BUDGET))) for n in range(40)]

    await asyncio.gather(*(counters.admit(ask(each, f"r{n}")) for n, each in enumerate(every)))

    assert totals.max_loading == 8


@pytest.mark.parametrize("trouble", ["an error", "slowness"])
async def test_a_counter_that_cannot_be_loaded_is_away(counters, totals, limits, trouble):
    totals.fails = Overloaded() if trouble == "an error" else None
    totals.takes = 0 if trouble == "an error" else 5

    with pytest.raises(CountersUnavailable):
        await counters.admit(ask(limits))


async def test_after_a_failed_load_nobody_waits_for_the_next(counters, totals, limits):
    totals.fails = Overloaded()

    for n in range(10):
        with pytest.raises(CountersUnavailable):
            await counters.admit(ask(limits, f"r{n}"))

    assert len(totals.loads) == 1


async def test_a_window_that_ended_is_told_with_the_time(counters, window, driver):
    start = int(window.partition("-")[0])
    old = checks(scope("tenant", quota("tenant", f"{start - 60}-{start}", BUDGET)))

    with pytest.raises(WindowMoved) as told:
        await counters.admit(ask(old))

    assert abs(told.value.now - driver.now_us() / 1e6) < 1


async def test_a_wrong_clock_here_changes_nothing(totals, limits, driver):
    slow = RedisClock(wall=lambda: time.time() - 3600)
    url = settings.REDIS_LIMITS_URL
    async with counters_at(url, totals, timeout=PATIENT, clock=slow) as counters:
        assert isinstance(await counters.admit(ask(limits)), Granted)
        assert abs(counters.now() - driver.now_us() / 1e6) < 0.1


async def test_redis_forgets_its_scripts_and_is_told_them_again(counters, limits, server):
    await counters.admit(ask(limits, "req_1"))
    server.script_flush()

    verdicts = await asyncio.gather(*(counters.admit(ask(limits, f"r{n}")) for n in range(5)))

    assert {type(each) for each in verdicts} == {Granted}


async def test_the_same_tick_is_one_conversation(counters, limits, server):
    await counters.admit(ask(limits, "req_1"))
    before = server.info("stats")["total_reads_processed"]

    await asyncio.gather(*(counters.admit(ask(limits, f"r{n}")) for n in range(20)))

    # The question for these numbers is one more.
    assert server.info("stats")["total_reads_processed"] - before <= 3


async def test_many_beats_and_settlements_go_in_portions(counters, window, driver):
    limits = checks(scope("tenant", quota("tenant", window, 10**6)))
    requests = [ask(limits, f"r{n}") for n in range(250)]
    await asyncio.gather(*map(counters.admit, requests))

    await counters.renew([progress(each, 20) for each in requests])
    await counters.settle([settlement(each) for each in requests], [])

    assert driver.holds() == 0
    assert driver.scope("tenant")["c"] == 0


async def test_tenants_are_settled_together_and_stay_apart(counters, window, driver):
    ours = ask(checks(scope("tenant"), tenant_id=ACME))
    theirs = ask(checks(scope("tenant"), tenant_id=RIVAL))
    await asyncio.gather(counters.admit(ours), counters.admit(theirs))

    await counters.settle([settlement(ours)], [])

    assert (driver.holds(), driver.holds(tenant_id=RIVAL)) == (0, 1)


async def test_a_heartbeat_does_not_bring_back_what_is_being_settled(counters, limits, driver):
    request = ask(limits)
    await counters.admit(request)

    await asyncio.gather(
        counters.settle([settlement(request)], []), counters.renew([progress(request, 20)])
    )

    assert driver.holds() == 0


async def test_a_lost_hold_is_made_anew_before_it_grows(counters, limits, server, driver):
    request = ask(limits)
    await counters.admit(request)
    server.flushdb()

    assert await counters.extend(progress(request, 20), completion_tokens=40) == 40
    assert driver.holds() == 1


async def test_a_hold_is_never_less_than_it_was(counters, limits):
    request = ask(limits)
    await counters.admit(request)

    assert await counters.extend(progress(request, 20), completion_tokens=5) == 20


async def test_who_gives_up_leaves_no_hold(counters, limits, driver):
    asking = asyncio.create_task(counters.admit(ask(limits)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)

    await until(lambda: not counters._releases._wanted)

    assert driver.holds() == 0


async def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        await asyncio.sleep(0.02)


async def test_200_at_once_in_two_processes_do_not_spend_a_budget_for_50(
    server, totals, window, driver
):
    limits = checks(scope("tenant", quota("tenant", window, 50 * 30)))
    url = settings.REDIS_LIMITS_URL
    patient = {"timeout": PATIENT}
    async with (
        counters_at(url, totals, **patient) as one,
        counters_at(url, totals, **patient) as other,
    ):
        requests = [ask(limits, f"r{n}", min_completion_tokens=20) for n in range(200)]
        verdicts = await asyncio.gather(
            *((one if n % 2 else other).admit(each) for n, each in enumerate(requests))
        )
        passed = [r for r, v in zip(requests, verdicts, strict=True) if isinstance(v, Granted)]
        assert len(passed) == 50
        assert {type(each) for each in verdicts} == {Granted, Refused}

        # Half of them were cancelled and used nothing; their budget admits 25 more, not 26.
        for n, each in enumerate(passed):
            state = totals.use(ACME, "tenant|tokens", window, 30 if n % 2 else 0)
            await one.settle([settlement(each)], [state])
        again = [ask(limits, f"again{n}", min_completion_tokens=20) for n in range(40)]
        verdicts = await asyncio.gather(*map(other.admit, again))

    assert sum(isinstance(each, Granted) for each in verdicts) == 25
    assert totals.states[ACME, "tenant|tokens", window].used <= 50 * 30
