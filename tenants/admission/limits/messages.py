"""Requests to the counters, and their responses."""

from typing import Literal

import msgspec

from tenants.admission.limits.checks import Checks

Reason = Literal[
    "requests_per_minute",
    "tokens_per_minute",
    "concurrency",
    "quota_exhausted",
    "revoked_api_key",
    "tenant_suspended",
]


class AdmitRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call of the counters to admit one request of a client."""

    request_id: str
    checks: Checks
    prompt_tokens: int
    completion_tokens: int
    """Maximum completion tokens to hold; 0 if the model generates none, as for embeddings."""
    min_completion_tokens: int
    """Minimum to hold; if less is left, the request is refused."""
    rate_tokens: int
    """Tokens to take from the token rates until the usage is known."""
    facts: bytes
    """JSON of the fields of a UsageRecord, to bill the request if its worker dies."""


class LimitStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """State of the rates of a scope after a decision. None for a rate without a limit."""

    scope: str
    request_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset_ms: int | None = None
    """Milliseconds until the whole burst is available again."""
    token_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset_ms: int | None = None


class QuotaStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """State of the window of a quota after a decision."""

    counter: str
    window: str
    limit: int
    """The limit of the quota plus top-ups and roll-over."""
    used: int
    held: int
    hard: bool

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used - self.held)


class Violation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A limit that a request exceeds."""

    reason: Reason
    scope: str
    retry_after_ms: int | None = None
    """Time after which the request would be admitted without others; None if it never would."""
    counter: str = ""
    """Counter of the quota; empty for other limits."""
    resets_at: int | None = None
    """End of the quota's window in seconds since 1970; None if its end is not what to wait for."""
    limit: int | None = None
    """Burst of a rate, or concurrency; None for a quota, whose status has the limit."""


class Granted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The request is admitted. Its hold stays until it is settled."""

    completion_tokens: int
    """Held completion tokens: the requested number, or what the quotas have left."""
    statuses: tuple[LimitStatus, ...] = ()
    quotas: tuple[QuotaStatus, ...] = ()
    shadowed: tuple[Violation, ...] = ()
    """Exceeded limits in shadow mode and soft quotas."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The request is refused and not counted."""

    violation: Violation
    """The violation; of several, the one that ends last."""
    statuses: tuple[LimitStatus, ...] = ()
    quotas: tuple[QuotaStatus, ...] = ()


class RequestProgress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """State of a hold in its worker. The heartbeat sends it; a lost hold is restored from it."""

    request: AdmitRequest
    completion_granted: int
    prompt_tokens: int
    """Usage so far, which is billed if the worker dies."""
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = True
    ended: bool = False
    """Whether the request has ended but is not in the ledger yet. Then its hold contains the used
    tokens, does not count as running, and expires after a day."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request whose usage is in the ledger, so that its hold is removed."""

    tenant_id: int
    request_id: str
    rate_tokens: int
    """Used tokens, to correct the token rates."""
