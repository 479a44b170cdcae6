"""Response headers with the state of the tightest limits (protocols.md, "Limits")."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from tenants.admission.limits.messages import LimitStatus, QuotaStatus, Refused
from tenants.admission.limits.rules import is_shadow
from tenants.windows import window_of_id

Headers = list[tuple[bytes, bytes]]
NAMES = {
    "requests_per_minute": b"requests",
    "tokens_per_minute": b"tokens",
    "concurrency": b"requests",
}


def limit_headers(statuses: Sequence[LimitStatus]) -> Headers:
    """Return `x-ratelimit-…` of the scopes with the smallest remaining share."""
    headers: Headers = []
    requests = tightest(statuses, lambda s: (s.requests_remaining, s.request_limit))
    if requests is not None:
        headers += numbers(
            b"requests",
            requests.request_limit,
            requests.requests_remaining,
            requests.requests_reset_ms,
        )
    tokens = tightest(statuses, lambda s: (s.tokens_remaining, s.token_limit))
    if tokens is not None:
        headers += numbers(
            b"tokens", tokens.token_limit, tokens.tokens_remaining, tokens.tokens_reset_ms
        )
    return headers


def refusal_headers(refused: Refused, *, now: float) -> Headers:
    """Return `x-ratelimit-…` of the limit that refused the request. `now` is in seconds since 1970.

    A quota of cost has none: OpenAI defines these headers only for requests and tokens.
    """
    violation = refused.violation
    if violation.reason == "quota_exhausted":
        quota = next((each for each in refused.quotas if each.counter == violation.counter), None)
        return quota_headers(quota, now=now) if quota else []
    name = NAMES.get(violation.reason)
    if name is None:
        return []
    status = next((each for each in refused.statuses if each.scope == violation.scope), None)
    if violation.reason == "concurrency" or status is None:
        return numbers(name, violation.limit, 0, violation.retry_after_ms)
    if name == b"tokens":
        parts = (status.token_limit, status.tokens_remaining, status.tokens_reset_ms)
    else:
        parts = (status.request_limit, status.requests_remaining, status.requests_reset_ms)
    return numbers(name, *parts)


def quota_headers(quota: QuotaStatus, *, now: float) -> Headers:
    unit = quota.counter.rpartition("|")[2]
    if unit == "cost":
        return []
    left = window_of_id(quota.window).end.timestamp() - now
    return numbers(unit.encode(), quota.limit, quota.remaining, max(0, round(left * 1000)))


def tightest(
    statuses: Sequence[LimitStatus], parts: Callable[[LimitStatus], tuple[int | None, int | None]]
) -> LimitStatus | None:
    found, lowest = None, 2.0
    for status in statuses:
        remaining, limit = parts(status)
        if remaining is not None and limit and remaining / limit < lowest:
            found, lowest = status, remaining / limit
    return found


def numbers(name: bytes, limit: int | None, remaining: int | None, reset: int | None) -> Headers:
    """Return the headers with OpenAI's names and its format of durations (`20ms`, `1.500s`)."""
    return [
        (b"x-ratelimit-limit-" + name, b"%d" % (limit or 0)),
        (b"x-ratelimit-remaining-" + name, b"%d" % (remaining or 0)),
        (b"x-ratelimit-reset-" + name, duration(reset or 0)),
    ]


def duration(milliseconds: int) -> bytes:
    seconds, rest = divmod(milliseconds, 1000)
    return b"%d.%03ds" % (seconds, rest) if seconds else b"%dms" % rest


def warning_headers(quotas: Sequence[QuotaStatus]) -> Headers:
    """Return one `x-quota-warning` for each soft quota that is exceeded."""
    return [
        (b"x-quota-warning", warning(quota).encode())
        for quota in quotas
        if quota.used + quota.held > quota.limit and is_soft(quota)
    ]


def is_soft(quota: QuotaStatus) -> bool:
    return not quota.hard and not is_shadow(quota.counter)


def warning(quota: QuotaStatus) -> str:
    resets = window_of_id(quota.window).end.astimezone(UTC)
    return (
        f"{quota.counter}; limit={quota.limit}; used={quota.used}; "
        f'resets="{datetime.isoformat(resets).replace("+00:00", "Z")}"'
    )
