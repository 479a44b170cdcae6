"""What a caller is told of a limit."""

import pytest

from tenants.admission.limits.errors_of import error_of
from tenants.admission.limits.messages import LimitStatus, QuotaStatus, Refused, Violation

NOW = 1_795_250_000.0
MONTH = "1793491200-1796083200"


def error(reason, scope="tenant", **facts):
    violation = Violation(reason=reason, scope=scope, **facts)
    standing = QuotaStatus(
        counter=violation.counter, window=MONTH, limit=100, used=90, held=10, hard=True
    )
    statuses = (LimitStatus(scope=scope, request_limit=60, requests_remaining=0),)
    return error_of(Refused(violation=violation, quotas=(standing,), statuses=statuses), now=NOW)


@pytest.mark.parametrize("reason", ["requests_per_minute", "tokens_per_minute", "concurrency"])
def test_a_rate_says_whose_it_is_and_how_long_to_wait(reason):
    found = error(reason, "key:2|route=tiny", retry_after_ms=1234)

    assert (found.status, found.code, found.scope_kind) == (429, reason, "key")
    assert "this API key, model route tiny" in found.message
    assert (b"retry-after", b"2") in found.headers()
    assert (b"retry-after-ms", b"1234") in found.headers()


def test_a_quota_that_is_used_up_says_when_it_resets():
    found = error(
        "quota_exhausted",
        "member:3",
        counter="member:3|tokens",
        retry_after_ms=5,
        resets_at=1_796_083_200,
    )

    assert (found.status, found.code, found.kind) == (429, "quota_exhausted", "insufficient_quota")
    assert "quota of tokens for this member" in found.message
    assert "(limit 100, used 90, held by running requests 10)" in found.message
    assert "2026-12-01T00:00:00Z" in found.message
    assert (b"retry-after", b"833200") in found.headers()
    assert (b"x-should-retry", b"false") in found.headers()


def test_a_quota_that_is_held_by_others_says_to_come_again():
    found = error("quota_exhausted", counter="tenant|tokens", retry_after_ms=1000)

    assert "while others run" in found.message
    assert (b"retry-after", b"1") in found.headers()


def test_a_request_that_never_fits_is_not_told_to_wait():
    found = error("quota_exhausted", counter="tenant|tokens")

    assert "smaller than this request" in found.message
    assert b"retry-after" not in dict(found.headers())


@pytest.mark.parametrize(
    ("reason", "status"), [("revoked_api_key", 401), ("tenant_suspended", 403)]
)
def test_what_was_revoked_is_refused_as_such(reason, status):
    found = error(reason)

    assert (found.code, found.status) == (reason, status)


def test_a_refusal_says_how_the_limits_stand():
    headers = dict(error("concurrency", retry_after_ms=1000).headers())

    assert headers[b"x-ratelimit-remaining-requests"] == b"0"


def test_names_of_counters_are_not_told():
    assert "member:3" not in error("concurrency", "member:3", retry_after_ms=1).message


def test_a_quota_that_has_something_left_is_not_called_used_up():
    found = error(
        "quota_exhausted", counter="tenant|tokens", retry_after_ms=5, resets_at=1_796_083_200
    )

    assert "has less left than this request needs (limit 100, used 90," in found.message
    assert "Request fewer tokens" in found.message
    assert "used up" not in found.message


STANDING = LimitStatus(
    scope="tenant", request_limit=60, requests_remaining=58, requests_reset_ms=2000,
    token_limit=9000, tokens_remaining=5, tokens_reset_ms=60_000,
)  # fmt: skip


def shown(reason, *, statuses=(STANDING,), unit="requests", **facts):
    violation = Violation(reason=reason, scope="tenant", retry_after_ms=1500, **facts)
    quota = QuotaStatus(
        counter=f"tenant|{unit}", window=MONTH, limit=130, used=50, held=10, hard=True
    )
    refused = Refused(violation=violation, statuses=statuses, quotas=(quota,))
    headers = error_of(refused, now=1_796_083_000.0).headers()
    return {
        name.decode().removeprefix("x-ratelimit-"): value.decode()
        for name, value in headers
        if name.startswith(b"x-ratelimit-")
    }


@pytest.mark.parametrize(
    ("reason", "facts", "headers"),
    [
        ("requests_per_minute", {}, ("requests", "60", "58", "2.000s")),
        ("tokens_per_minute", {}, ("tokens", "9000", "5", "60.000s")),
        ("concurrency", {"limit": 3}, ("requests", "3", "0", "1.500s")),
        ("requests_per_minute", {"limit": 60, "statuses": ()}, ("requests", "60", "0", "1.500s")),
        ("tokens_per_minute", {"limit": 9000, "statuses": ()}, ("tokens", "9000", "0", "1.500s")),
        ("quota_exhausted", {"counter": "tenant|requests"}, ("requests", "130", "70", "200.000s")),
        (
            "quota_exhausted",
            {"counter": "tenant|tokens", "unit": "tokens"},
            ("tokens", "130", "70", "200.000s"),
        ),
    ],
)
def test_headers_are_those_of_the_limit_that_refused_and_of_no_other(reason, facts, headers):
    name, limit, remaining, reset = headers

    assert shown(reason, **facts) == {
        f"limit-{name}": limit,
        f"remaining-{name}": remaining,
        f"reset-{name}": reset,
    }


def test_a_quota_of_cost_has_no_headers_rather_than_those_of_another_limit():
    assert shown("quota_exhausted", counter="tenant|cost", unit="cost") == {}
