"""How limits stand, as headers."""

from tenants.admission.limits.headers import limit_headers, warning_headers
from tenants.admission.limits.messages import LimitStatus, QuotaStatus

MONTH = "1793491200-1796083200"


def requests(scope, limit, remaining, reset=0):
    return LimitStatus(
        scope=scope, request_limit=limit, requests_remaining=remaining, requests_reset_ms=reset
    )


def tokens(scope, limit, remaining, reset=0):
    return LimitStatus(
        scope=scope, token_limit=limit, tokens_remaining=remaining, tokens_reset_ms=reset
    )


def test_the_scope_with_the_smallest_share_left_is_told():
    headers = dict(limit_headers([requests("key:1", 10, 5), requests("tenant", 1000, 100, 90_500)]))

    assert headers == {
        b"x-ratelimit-limit-requests": b"1000",
        b"x-ratelimit-remaining-requests": b"100",
        b"x-ratelimit-reset-requests": b"90.500s",
    }


def test_requests_and_tokens_may_be_of_different_scopes():
    headers = dict(limit_headers([requests("key:1", 10, 5), tokens("tenant", 1000, 1, 12)]))

    assert headers[b"x-ratelimit-limit-requests"] == b"10"
    assert headers[b"x-ratelimit-limit-tokens"] == b"1000"
    assert headers[b"x-ratelimit-reset-tokens"] == b"12ms"


def test_without_limits_there_are_no_headers():
    assert limit_headers([LimitStatus(scope="tenant")]) == []


def quota(*, used, hard, held=0):
    return QuotaStatus(
        counter="tenant|tokens", window=MONTH, limit=100, used=used, held=held, hard=hard
    )


def test_a_soft_quota_that_is_exceeded_is_a_warning():
    ((name, value),) = warning_headers([quota(used=95, held=6, hard=False)])

    assert name == b"x-quota-warning"
    assert value == b'tenant|tokens; limit=100; used=95; resets="2026-12-01T00:00:00Z"'


def test_nothing_else_is():
    assert warning_headers([quota(used=100, hard=False), quota(used=101, hard=True)]) == []
