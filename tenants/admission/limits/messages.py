"""What is asked of the counters for one request, and what they answer."""

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
    """May this request run, and with how many tokens?"""

    request_id: str
    checks: Checks
    prompt_tokens: int
    completion_tokens: int
    """The longest answer that is wanted; 0 where there is none, as for embeddings."""
    least_completion: int
    """Fewer than these are no use; then the request is refused."""
    rate_tokens: int
    """What is taken from the token rates until the true number is known."""
    facts: bytes
    """JSON of what the ledger must know if the worker dies: the fields of a UsageRecord."""


class LimitStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a scope stands right after a decision. None where nothing is limited."""

    scope: str
    request_limit: int | None = None
    requests_remaining: int | None = None
    requests_reset_ms: int | None = None
    """Until the whole burst is there again."""
    token_limit: int | None = None
    tokens_remaining: int | None = None
    tokens_reset_ms: int | None = None


class QuotaStatus(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a quota's window stands right after a decision."""

    counter: str
    window: str
    limit: int
    """With what was granted on top."""
    used: int
    held: int
    hard: bool

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used - self.held)


class Violation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A limit that a request does not keep."""

    reason: Reason
    scope: str
    retry_after_ms: int | None = None
    """When the same request would pass if nothing else came; None if no time is known."""
    counter: str = ""
    """Of a quota."""
    resets_at: int | None = None
    """Seconds since 1970; of a quota whose window must end first."""
    most: int | None = None
    """Of a rate what passes at once, of concurrency what may run; None of a quota, which stands
    beside it.
    """


class Granted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It may run. A hold is there until it is settled."""

    completion_tokens: int
    """The longest answer that may be asked of the engine: what was wanted, or what is left."""
    standings: tuple[LimitStatus, ...] = ()
    quotas: tuple[QuotaStatus, ...] = ()
    shadowed: tuple[Violation, ...] = ()
    """What would have refused it, were it not in shadow mode or soft."""


class Refused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """It may not run, and nothing was written anywhere."""

    breach: Violation
    """Of several the one that lasts longest."""
    standings: tuple[LimitStatus, ...] = ()
    quotas: tuple[QuotaStatus, ...] = ()


class Progress(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A hold as its worker knows it: what the heartbeat tells, and re-creates if it was lost."""

    ask: AdmitRequest
    completion_granted: int
    prompt_tokens: int
    """Seen so far: the checkpoint that is billed if the worker dies."""
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = True
    ended: bool = False
    """The request is over but not acknowledged in the ledger: it holds what it used, runs no
    more, and keeps its hold for a day."""


class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request whose usage is in the ledger: its hold can go."""

    tenant_id: int
    request_id: str
    rate_tokens: int
    """What it truly used, for the token rates."""
