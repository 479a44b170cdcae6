"""The headers that tell a caller how its limits stand (CONTRACT §2), for the tightest scope."""

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


def limit_headers(standings: Sequence[LimitStatus]) -> Headers:
    """`x-ratelimit-…` of the scopes in which the smallest share is left."""
    headers: Headers = []
    requests = tightest(standings, lambda s: (s.requests_remaining, s.request_limit))
    if requests is not None:
        headers += numbers(
            b"requests",
            requests.request_limit,
            requests.requests_remaining,
            requests.requests_reset_ms,
        )
    tokens = tightest(standings, lambda s: (s.tokens_remaining, s.token_limit))
    if tokens is not None:
        headers += numbers(
            b"tokens", tokens.token_limit, tokens.tokens_remaining, tokens.tokens_reset_ms
        )
    return headers


def refusal_headers(refused: Refused, *, now: float) -> Headers:
    """`x-ratelimit-…` of the limit that refused, and of no other one. `now`: seconds since 1970.

    Quotas of cost have none: OpenAI's names are of requests and tokens only.
    """
    breach = refused.breach
    if breach.reason == "quota_exhausted":
        quota = next((each for each in refused.quotas if each.counter == breach.counter), None)
        return quota_headers(quota, now=now) if quota else []
    name = NAMES.get(breach.reason)
    if name is None:
        return []
    standing = next((each for each in refused.standings if each.scope == breach.scope), None)
    if breach.reason == "concurrency" or standing is None:
        return numbers(name, breach.most, 0, breach.retry_after_ms)
    if name == b"tokens":
        parts = (standing.token_limit, standing.tokens_remaining, standing.tokens_reset_ms)
    else:
        parts = (standing.request_limit, standing.requests_remaining, standing.requests_reset_ms)
    return numbers(name, *parts)


def quota_headers(quota: QuotaStatus, *, now: float) -> Headers:
    unit = quota.counter.rpartition("|")[2]
    if unit == "cost":
        return []
    left = window_of_id(quota.window).end.timestamp() - now
    return numbers(unit.encode(), quota.limit, quota.remaining, max(0, round(left * 1000)))


def tightest(
    standings: Sequence[LimitStatus], parts: Callable[[LimitStatus], tuple[int | None, int | None]]
) -> LimitStatus | None:
    found, least = None, 2.0
    for standing in standings:
        remaining, limit = parts(standing)
        if remaining is not None and limit and remaining / limit < least:
            found, least = standing, remaining / limit
    return found


def numbers(name: bytes, limit: int | None, remaining: int | None, reset: int | None) -> Headers:
    """OpenAI's names and its form of the reset: milliseconds, or seconds with a fraction."""
    return [
        (b"x-ratelimit-limit-" + name, b"%d" % (limit or 0)),
        (b"x-ratelimit-remaining-" + name, b"%d" % (remaining or 0)),
        (b"x-ratelimit-reset-" + name, duration(reset or 0)),
    ]


def duration(milliseconds: int) -> bytes:
    seconds, rest = divmod(milliseconds, 1000)
    return b"%d.%03ds" % (seconds, rest) if seconds else b"%dms" % rest


def warning_headers(quotas: Sequence[QuotaStatus]) -> Headers:
    """`x-quota-warning`, one for each soft quota that is exceeded."""
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
