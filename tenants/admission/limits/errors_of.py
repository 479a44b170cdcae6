"""From a breach to the error that a caller sees: which limit of which scope, and until when."""

from datetime import UTC, datetime

from kernel.errors import PlatformError, RateLimited
from tenants.admission.limits.headers import refusal_headers
from tenants.admission.limits.messages import QuotaStatus, Refused
from tenants.errors import (
    QuotaExhausted,
    RequestsPerMinute,
    RevokedApiKey,
    TenantSuspended,
    TokensPerMinute,
    TooManyAtOnce,
)

OWNERS = {"key": "this API key", "member": "this member", "tenant": "this tenant"}
FILTERS = {"route": "model route", "door": "requests of kind", "mode": "in mode"}
LIMITS: dict[str, tuple[type[RateLimited], str]] = {
    "requests_per_minute": (RequestsPerMinute, "requests per minute"),
    "tokens_per_minute": (TokensPerMinute, "tokens per minute"),
    "concurrency": (TooManyAtOnce, "requests at the same time"),
}


def error_of(refused: Refused, *, now: float) -> PlatformError:
    """The error to raise. `now` is in seconds since 1970, by Redis' clock."""
    breach = refused.breach
    if breach.reason == "revoked_api_key":
        return RevokedApiKey()
    if breach.reason == "tenant_suspended":
        return TenantSuspended()
    kind, message, wait = explain(refused, now=now)
    return kind(
        message,
        retry_after=wait,
        scope_kind=owner_of(breach.scope),
        standings=refusal_headers(refused, now=now),
    )


def explain(refused: Refused, *, now: float) -> tuple[type[RateLimited], str, float | None]:
    """Class and message of the error, and the seconds to wait; None if waiting is no use."""
    breach = refused.breach
    wait = None if breach.retry_after_ms is None else breach.retry_after_ms / 1000
    if breach.reason in LIMITS:
        kind, words = LIMITS[breach.reason]
        message = (
            f"The limit of {words} for {describe(breach.scope)} is reached. "
            "Wait as long as Retry-After says, or ask for a higher limit."
        )
        return kind, message, wait
    standing = next((each for each in refused.quotas if each.counter == breach.counter), None)
    quota = f"The quota of {breach.counter.rpartition('|')[2]} for {describe(breach.scope)}"
    if wait is None:
        message = f"{quota} is smaller than this request{numbers(standing)}. Ask for fewer tokens."
        return QuotaExhausted, message, None
    if breach.resets_at is None:
        message = (
            f"{quota} has no room for this request while others run{numbers(standing)}. "
            "Try again shortly, or ask for fewer tokens."
        )
        return QuotaExhausted, message, wait
    resets = datetime.fromtimestamp(breach.resets_at, UTC)
    is_used_up = standing is None or standing.used >= standing.limit
    how = "is used up" if is_used_up else "has less left than this request needs"
    what = "" if is_used_up else "Ask for fewer tokens, or ask"
    message = (
        f"{quota} {how}{numbers(standing)}. It resets at {resets:%Y-%m-%dT%H:%M:%SZ}. "
        f"{what or 'Ask'} your administrator for a higher one if you need it sooner."
    )
    return QuotaExhausted, message, max(0.0, breach.resets_at - now)


def numbers(quota: QuotaStatus | None) -> str:
    if quota is None:
        return ""
    return f" (limit {quota.limit}, used {quota.used}, held by running requests {quota.held})"


def owner_of(scope: str) -> str:
    """`key`, `member` or `tenant`."""
    return scope.partition("|")[0].partition(":")[0]


def describe(scope: str) -> str:
    """A scope's name in words: `this API key, model route tiny`."""
    owner, *filters = scope.split("|")
    words = [OWNERS[owner_of(owner)]]
    for each in filters:
        name, _, value = each.partition("=")
        words.append(f"{FILTERS[name]} {value}")
    return ", ".join(words)
