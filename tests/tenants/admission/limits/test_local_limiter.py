"""The worker's own limiter: looser than Redis beside it, a share of the limits without it."""

import pytest

from tenants.admission.limits.local_limiter import LocalLimiter
from tests.fixtures.limits.checks import ask, checks, rate

SECOND = 1_000_000


def admitted(limiter, asked, *, share, times, now_us=0):
    """How many of `times` requests at one moment pass."""
    count = 0
    for _ in range(times):
        if limiter.violation(asked, now_us=now_us, share=share) is None:
            limiter.take(asked, now_us=now_us, share=share)
            count += 1
    return count


@pytest.mark.parametrize(("share", "passing"), [(1, 66), (1 / 4, 15)])
def test_a_worker_admits_its_share_of_a_burst(share, passing):
    asked = ask(checks(rate(requests_per_minute=60)))

    assert admitted(LocalLimiter(), asked, share=share, times=100) == passing


def test_a_share_of_a_rate_comes_back_more_slowly():
    limiter, asked = LocalLimiter(), ask(checks(rate(requests_per_minute=60)))
    admitted(limiter, asked, share=1 / 4, times=100)

    assert admitted(limiter, asked, share=1 / 4, times=9, now_us=8 * SECOND) == 2


@pytest.mark.parametrize(("share", "passing"), [(1, 8), (1 / 4, 2), (1 / 100, 1)])
def test_a_worker_runs_its_share_at_once_but_always_one(share, passing):
    asked = ask(checks(rate(concurrency=8)))

    assert admitted(LocalLimiter(), asked, share=share, times=20) == passing


def test_what_has_ended_makes_room():
    limiter, asked = LocalLimiter(), ask(checks(rate(concurrency=1)))
    limiter.take(asked, now_us=0, share=1)
    assert limiter.violation(asked, now_us=0, share=1).reason == "concurrency"

    limiter.release(asked, tokens=0, share=1)

    assert limiter.violation(asked, now_us=0, share=1) is None


def test_tokens_that_were_not_used_are_given_back():
    limiter, asked = LocalLimiter(), ask(checks(rate(tokens_per_minute=60)), rate_tokens=60)
    limiter.take(asked, now_us=0, share=1)
    assert limiter.violation(asked, now_us=0, share=1).reason == "tokens_per_minute"

    limiter.release(asked, tokens=0, share=1)

    assert limiter.violation(asked, now_us=0, share=1) is None


def test_tokens_beyond_the_estimate_are_a_debt():
    limiter = LocalLimiter()
    asked = ask(checks(rate(tokens_per_minute=60)), rate_tokens=1)
    limiter.take(asked, now_us=0, share=1)

    limiter.release(asked, tokens=90, share=1)

    assert limiter.violation(asked, now_us=0, share=1).retry_after_ms == 31_000


def test_the_wait_that_is_told_is_enough_and_not_too_long():
    limiter, asked = LocalLimiter(), ask(checks(rate(requests_per_minute=7, request_burst=4)))
    limiter.take(asked, now_us=0, share=1 / 4)
    wait = limiter.violation(asked, now_us=0, share=1 / 4).retry_after_ms

    assert limiter.violation(asked, now_us=wait * 1000, share=1 / 4) is None
    assert limiter.violation(asked, now_us=(wait - 5) * 1000, share=1 / 4) is not None


def test_beside_redis_the_wait_is_told_as_it_is():
    limiter, asked = LocalLimiter(), ask(checks(rate(requests_per_minute=60, request_burst=1)))
    limiter.take(asked, now_us=0, share=1)

    assert limiter.violation(asked, now_us=0, share=1).retry_after_ms == 1000
    assert limiter.violation(asked, now_us=910_000, share=1) is None


def test_shadow_mode_refuses_nothing():
    asked = ask(checks(rate(concurrency=1, requests_per_minute=1, shadow=True)))

    assert admitted(LocalLimiter(), asked, share=1, times=9) == 9


def test_tenants_are_counted_apart():
    limiter = LocalLimiter()
    acme = ask(checks(rate(concurrency=1)))
    limiter.take(acme, now_us=0, share=1)

    rival = ask(checks(rate(concurrency=1), tenant_id=2))

    assert limiter.violation(rival, now_us=0, share=1) is None


def test_it_remembers_a_bounded_number_of_scopes(monkeypatch):
    monkeypatch.setattr("tenants.admission.limits.local_limiter.MAX_SCOPES", 10)
    limiter = LocalLimiter()
    for key in range(100):
        limiter.take(ask(checks(rate("key", concurrency=1), key_id=key)), now_us=0, share=1)

    assert len(limiter._scopes) == 10
