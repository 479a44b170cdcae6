"""Conversion of violations into errors for the client, with the limit, its scope and its reset."""

from datetime import UTC, datetime

from kernel.errors import PlatformError, RateLimited
from tenants.admission.limits.headers import refusal_headers
from tenants.admission.limits.messages import QuotaStatus, Refused
from tenants.admission.limits.rules import REQUEST_KIND_PART
from tenants.errors import (
    QuotaExhausted,
    RequestsPerMinute,
    RevokedApiKey,
    TenantSuspended,
    TokensPerMinute,
    TooManyAtOnce,
)

OWNERS = {"key": "this API key", "member": "this member", "tenant": "this tenant"}
FILTERS = {"route": "model route", REQUEST_KIND_PART: "requests of kind", "mode": "in mode"}
LIMITS: dict[str, tuple[type[RateLimited], str]] = {
    "requests_per_minute": (RequestsPerMinute, "requests per minute"),
    "tokens_per_minute": (TokensPerMinute, "tokens per minute"),
    "concurrency": (TooManyAtOnce, "requests at the same time"),
}


def error_of(refused: Refused, *, now: float) -> PlatformError:
    """Return the error to raise. `now` is in seconds since 1970, by Redis' clock."""
    violation = refused.violation
    if violation.reason == "revoked_api_key":
        return RevokedApiKey()
    if violation.reason == "tenant_suspended":
        return TenantSuspended()
    kind, message, wait = explain(refused, now=now)
    return kind(
        message,
        retry_after=wait,
        scope_kind=owner_of(violation.scope),
        limit_headers=refusal_headers(refused, now=now),
    )


def explain(refused: Refused, *, now: float) -> tuple[type[RateLimited], str, float | None]:
    """Return class and message of the error, and the seconds to wait; None if that is no use."""
    violation = refused.violation
    wait = None if violation.retry_after_ms is None else violation.retry_after_ms / 1000
    if violation.reason in LIMITS:
        kind, words = LIMITS[violation.reason]
        message = (
            f"The limit of {words} for {describe(violation.scope)} is reached. "
            "Wait as long as Retry-After says, or request a higher limit."
        )
        return kind, message, wait
    status = next((each for each in refused.quotas if each.counter == violation.counter), None)
    quota = f"The quota of {violation.counter.rpartition('|')[2]} for {describe(violation.scope)}"
    if wait is None:
        message = f"{quota} is smaller than this request{numbers(status)}. Request fewer tokens."
        return QuotaExhausted, message, None
    if violation.resets_at is None:
        message = (
            f"{quota} has no room for this request while others run{numbers(status)}. "
            "Try again shortly, or request fewer tokens."
        )
        return QuotaExhausted, message, wait
    resets = datetime.fromtimestamp(violation.resets_at, UTC)
    is_used_up = status is None or status.used >= status.limit
    how = "is used up" if is_used_up else "has less left than this request needs"
    what = "" if is_used_up else "Request fewer tokens, or ask"
    message = (
        f"{quota} {how}{numbers(status)}. It resets at {resets:%Y-%m-%dT%H:%M:%SZ}. "
        f"{what or 'Ask'} your administrator for a higher quota if you need it sooner."
    )
    return QuotaExhausted, message, max(0.0, violation.resets_at - now)


def numbers(quota: QuotaStatus | None) -> str:
    if quota is None:
        return ""
    return f" (limit {quota.limit}, used {quota.used}, held by running requests {quota.held})"


def owner_of(scope: str) -> str:
    """Return the kind of a scope's owner: `key`, `member` or `tenant`."""
    return scope.partition("|")[0].partition(":")[0]


def describe(scope: str) -> str:
    """Describe a scope for the client: `this API key, model route tiny`."""
    owner, *filters = scope.split("|")
    words = [OWNERS[owner_of(owner)]]
    for each in filters:
        name, _, value = each.partition("=")
        words.append(f"{FILTERS[name]} {value}")
    return ", ".join(words)
