"""What a caller is told of a limit."""

import pytest

from tenants.admission.refusal import error_of
from tenants.admission.verdicts import Breach, QuotaStanding, Refused, Standing

NOW = 1_795_250_000.0
MONTH = "1793491200-1796083200"


def error(reason, scope="tenant", **facts):
    breach = Breach(reason=reason, scope=scope, **facts)
    standing = QuotaStanding(
        counter=breach.counter, window=MONTH, limit=100, used=90, held=10, hard=True
    )
    standings = (Standing(scope=scope, request_limit=60, requests_remaining=0),)
    return error_of(Refused(breach=breach, quotas=(standing,), standings=standings), now=NOW)


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
