"""The live counters for pages, services and jobs."""

from datetime import UTC, datetime

import pytest
import redis
from django.conf import settings as django_settings

from kernel.storage.redis import connect_async
from tenants.admission.limits.counter_state import CounterState
from tenants.admission.limits.messages import Granted, Refused, Settlement, Violation
from tenants.admission.redis_counters.refusal_log import MAX_REFUSAL_KINDS, Refusals
from tenants.counters import commands as counter_commands
from tenants.counters.state import read_live, read_refusals
from tenants.counters.view import read_live_view, recent_refusals
from tenants.errors import CountersUnreadable
from tests.fixtures.limits.scripts import (
    ACME,
    RIVAL,
    Driver,
    ask,
    checks,
    open_window,
    progress,
    quota,
    scope,
)

NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def driver():
    with redis.Redis.from_url(django_settings.REDIS_LIMITS_URL) as server:
        server.flushdb()
        made = Driver(server)
        yield made
        made.connection.disconnect()
        server.flushdb()


@pytest.fixture
def window(driver):
    return open_window(driver)


@pytest.fixture
def limits(driver, window):
    found = {
        tenant_id: checks(
            scope("key:1", request_us=60, request_burst_us=6000),
            scope("tenant", quota("tenant", window, 100)),
            tenant_id=tenant_id,
        )
        for tenant_id in (ACME, RIVAL)
    }
    for each in found.values():
        driver.seed_all(each)
    return found[ACME]


@pytest.fixture
def redis_away(settings):
    settings.REDIS_LIMITS_URL = NOBODY


def total(window, **facts):
    return CounterState(tenant_id=ACME, counter="tenant|tokens", window=window, **facts)


def test_a_page_sees_what_runs_and_what_is_held(driver, limits, window):
    driver.admit(ask(limits))

    state = read_live(tenant_id=ACME)

    assert {each.scope: each.running for each in state.scopes} == {"key:1": 1, "tenant": 1}
    assert state.windows["tenant|tokens", window].held == 30
    assert (state.holds, state.abandoned_requests) == (1, 0)
    assert state.scopes[0].request_tat_us >= state.now_us - 1_000_000


def test_a_page_sees_nothing_of_the_rival(driver, limits):
    driver.admit(ask(limits))

    assert read_live(tenant_id=RIVAL).holds == 0


def test_a_counter_that_redis_lost_is_not_zero(driver, limits, window):
    request = ask(limits)
    driver.server.flushdb()
    driver.renew([progress(request, 20)])

    assert read_live(tenant_id=ACME).windows["tenant|tokens", window].used is None


def test_the_view_of_the_console(driver, limits, window):
    driver.admit(ask(limits))

    view = read_live_view(ACME)

    assert view.scopes["tenant"].running == 1
    assert view.counters["tenant|tokens", window].held == 30


def test_a_page_says_that_redis_is_away(redis_away):
    with pytest.raises(CountersUnreadable):
        read_live(tenant_id=ACME)
    with pytest.raises(CountersUnreadable):
        read_refusals(tenant_id=ACME)
    assert read_live_view(ACME) is None
    assert recent_refusals(ACME) == ()


def test_a_job_hears_that_redis_is_away(redis_away):
    with pytest.raises(redis.RedisError):
        counter_commands.reap(ACME)


def test_a_total_is_brought_to_a_counter_that_is_there(driver, limits, window):
    counter_commands.push_states([total(window, used=40, granted=5, version=3)])

    shown = read_live(tenant_id=ACME).windows["tenant|tokens", window]
    assert (shown.used, shown.granted, shown.version) == (40, 5, 3)


def test_a_dead_workers_request_is_billed_with_its_checkpoint(driver, limits, window):
    request = ask(limits, facts=b'{"door":"chat"}')
    driver.admit(request)
    driver.renew([progress(request, 20, prompt_tokens=10, completion_tokens=7)])
    driver.expire("req_1")

    assert counter_commands.reap(ACME) == 1
    (abandoned_request,) = counter_commands.abandoned_requests(ACME)

    assert abandoned_request.facts == b'{"door":"chat"}'
    assert (
        abandoned_request.prompt_tokens,
        abandoned_request.completion_tokens,
        abandoned_request.estimated,
    ) == (10, 7, True)
    assert [(each.counter, each.window, each.amount) for each in abandoned_request.charges] == [
        ("tenant|tokens", window, 17)
    ]


def test_a_billed_orphan_holds_nothing_any_more(driver, limits, window):
    driver.admit(ask(limits))
    driver.expire("req_1")
    counter_commands.reap(ACME)

    counter_commands.acknowledge(ACME, ["req_1"], [total(window, used=17, version=1)])

    shown = read_live(tenant_id=ACME)
    assert (shown.holds, shown.abandoned_requests) == (0, 0)
    assert shown.windows["tenant|tokens", window].used == 17
    assert counter_commands.abandoned_requests(ACME) == []


def test_an_orphan_is_found_again_until_it_is_acknowledged(driver, limits):
    driver.admit(ask(limits))
    driver.expire("req_1")
    counter_commands.reap(ACME)

    assert (
        len(counter_commands.abandoned_requests(ACME))
        == len(counter_commands.abandoned_requests(ACME))
        == 1
    )


def test_who_was_taken_back_or_settled_is_no_orphan(driver, limits):
    back, settled = ask(limits, "req_1"), ask(limits, "req_2")
    for each in (back, settled):
        driver.admit(each)
        driver.expire(each.request_id)
    counter_commands.reap(ACME)
    driver.renew([progress(back, 20)])
    counter_commands.settle_holds(
        [Settlement(tenant_id=ACME, request_id="req_2", rate_tokens=1)], []
    )

    assert counter_commands.abandoned_requests(ACME) == []
    assert read_live(tenant_id=ACME).abandoned_requests == 0


@pytest.mark.slow
def test_many_expired_holds_are_reaped_a_thousand_at_a_time(driver):
    limits = checks(scope("tenant"))
    for n in range(1003):
        driver.admit(ask(limits, f"req_{n}"))
    driver.expire(*(f"req_{n}" for n in range(1003)))

    assert (
        counter_commands.reap(ACME),
        counter_commands.reap(ACME),
        counter_commands.reap(ACME),
    ) == (1000, 3, 0)
    assert driver.scope("tenant")["c"] == 0


def test_recounting_finds_what_differs(driver, limits, window):
    driver.admit(ask(limits))
    driver.server.hset("tenantry:{1}:scope:tenant", f"h:tokens:{window}", 31)

    (found,) = counter_commands.recount(ACME)

    assert (found.scope, found.field) == ("tenant", f"h:tokens:{window}")
    assert (found.was, found.should_be) == (31, 30)
    assert counter_commands.recount(ACME) == []


def test_a_denied_key_is_refused_until_it_is_allowed(driver, limits):
    counter_commands.deny(tenant_id=ACME, names=["key:1"], why="blocked")
    assert isinstance(driver.admit(ask(limits)), Refused)
    assert 3500 < driver.server.ttl("tenantry:{1}:denied") <= 3600

    counter_commands.allow(tenant_id=ACME, names=["key:1"])

    assert isinstance(driver.admit(ask(limits)), Granted)


@pytest.fixture
async def refusals(driver):
    server = connect_async(django_settings.REDIS_LIMITS_URL)
    yield Refusals(server)
    await server.aclose()


BREACH = Violation(reason="concurrency", scope="tenant")


async def test_equal_refusals_are_one_line(refusals, limits):
    for _ in range(3):
        refusals.note(ask(limits), BREACH, shadow=False)
    refusals.note(ask(limits), BREACH, shadow=True)
    await refusals.write()

    told = read_refusals(tenant_id=ACME)

    assert sorted((each.count, each.shadow) for each in told) == [(1, True), (3, False)]
    assert abs((datetime.now(UTC) - told[0].at).total_seconds()) < 60
    assert sorted((each.count, each.shadow) for each in recent_refusals(ACME)) == [
        (1, True),
        (3, False),
    ]
    assert read_refusals(tenant_id=RIVAL) == []


async def test_a_flood_of_refusals_is_bounded(refusals, limits, driver):
    for n in range(2 * MAX_REFUSAL_KINDS):
        violation = Violation(reason="concurrency", scope=f"key:{n}")
        refusals.note(ask(limits), violation, shadow=False)
    await refusals.write()

    assert driver.server.xlen("tenantry:{1}:refusals") < 300


async def test_refusals_are_dropped_while_redis_is_away(limits):
    server = connect_async(NOBODY)
    refusals = Refusals(server)
    refusals.note(ask(limits), BREACH, shadow=False)

    await refusals.write()
    await server.aclose()

    assert not refusals._counts
